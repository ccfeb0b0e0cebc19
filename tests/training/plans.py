"""Small training plans, and a launcher that runs one of them under torchrun.

python -m torch.distributed.run --nproc_per_node=2 -m tests.training.plans NAME DATA OUT [--resume] [--max-steps N]
"""

import argparse
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import torch

from roadseg.recipes import (
    RMI,
    SGD,
    Augment,
    Auxiliary,
    Balanced,
    ClassUniform,
    CrossEntropy,
    Data,
    Engine,
    ImageWeighted,
    Model,
    Ohem,
    Poly,
    RAdam,
    RareClass,
    Recipe,
    Relaxed,
    RescaledPoly,
)
from roadseg.training.checkpoint import load_state

ROOT = Path(__file__).resolve().parents[2]

VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "image-weighted": {"loss": ImageWeighted(), "schedule": Poly(power=2, per="epoch")},
    "relaxed": {
        "loss": Relaxed(strict=("car",), off_epoch=1),
        "schedule": RescaledPoly(restart=2),
        "sampling": ClassUniform(tile=8, until=2),
    },
    "rmi": {"loss": RMI(stride=2), "aux": Auxiliary(loss=CrossEntropy()), "optim": RAdam(lr=0.01)},
    "ohem": {"loss": Ohem(min_kept=50), "sampling": RareClass(tile=8)},
    "balanced": {"sampling": Balanced()},
    "sharded": {"engine": Engine(sharding="fsdp")},
    "compressed": {"engine": Engine(compress="bfloat16")},
    "frozen": {"freeze": ("head",), "batch_size": 2},
    "composite": {"sampling": Balanced(), "loss": CrossEntropy(), "aux": Auxiliary(loss=CrossEntropy())},
    "mgda": {"objectives": "mgda", "sampling": Balanced(), "loss": CrossEntropy(), "aux": Auxiliary()},
    "normalized": {
        "model": Model(name="tests.training.plans:normalized"),
        "aux": Auxiliary(weights=(0.0,)),
        "eval_every": 1,
    },
    "mortal": {"model": Model(name="tests.training.plans:mortal")},
}
"""What is changed of `recipe`; everything that switches in the course of a training is in one of them."""


def recipe(root: Path, /, **changes: object) -> Recipe:
    """A plan of 4 epochs for the network of `tests.tiny`, with everything random in it."""
    plan = Recipe(
        name="tiny.camvid",
        paper="none",
        model=Model(name="tests.tiny:tiny", options={"dropout": 0.2}),
        data=Data(root=str(root), train="train+val", val="test"),
        augment=Augment(crop=(16, 24), scale=(0.8, 1.5), brightness=0.2),
        loss=CrossEntropy(class_weights="enet"),
        aux=Auxiliary(loss=CrossEntropy(class_weights="enet")),
        optim=SGD(lr=0.05),
        epochs=4,
        batch_size=2,
        clip_norm=5.0,
        ema=0.9,
        eval_every=2,
        workers=0,
    )
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


def variant(name: str, data: Path, /, **changes: object) -> Recipe:
    """`recipe` with the changes of a variant."""
    plan = recipe(data, **{**VARIANTS[name], **changes})
    if name == "balanced":
        plan = dataclasses.replace(plan, data=dataclasses.replace(plan.data, parts=(str(data),)))
    return plan


def composite(camvid: Path, *parts: Path, **changes: object) -> Recipe:
    """Two steps on each of three data sets, in the classes of MSeg."""
    data = Data(
        root=str(camvid),
        train="train+val",
        val="test",
        parts=(f"{parts[0]}@train@val", f"kitti:{parts[1]}@train-cv0@val-cv0"),
        to="mseg-194",
    )
    values = {**VARIANTS["composite"], "steps": 4, "eval_every": 1, "batch_size": 4, **changes}
    return recipe(camvid, data=data, **values)


def shared(name: str, data: Path) -> Recipe:
    """A variant whose steps are the same however they are divided over processes: no dropout, no average.

    ``composite`` and ``mgda`` take three data sets of the folder.
    """
    if name in ("composite", "mgda"):
        roots = (data / part for part in ("camvid", "cityscapes", "kitti"))
        return composite(*roots, **VARIANTS[name], model=Model(name="tests.tiny:tiny"), ema=0.0)
    return variant(
        name, data, **{"model": Model(name="tests.tiny:tiny"), **VARIANTS[name], "batch_size": 4, "ema": 0.0}
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights in the state of a run, averaged ones too."""
    state = load_state(folder / "last.pt")
    return {**state["model"], **{f"ema.{key}": value for key, value in (state["ema"] or {}).items()}}


def torchrun(processes: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this module's `main` in several processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return subprocess.run(
        [*command, "-m", "tests.training.plans", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def normalized(num_classes: int) -> torch.nn.Module:
    """A network whose running statistics are those of the last batch."""
    from tests.tiny import TinyNet

    model = TinyNet(num_classes)
    model.features.append(torch.nn.BatchNorm2d(8, momentum=1.0))
    return model


def mortal(num_classes: int) -> torch.nn.Module:
    """A network whose second process is killed in its fourth training step."""
    from tests.tiny import TinyNet

    class Mortal(TinyNet):
        calls = 0

        def forward(self, images: torch.Tensor):
            if self.training:
                Mortal.calls += 1
                if Mortal.calls == 4 and os.environ.get("RANK") == "1":
                    os.kill(os.getpid(), 9)
            return super().forward(images)

    return Mortal(num_classes)


def main() -> int:
    """Run one plan; errors as the command line tells them."""
    from roadseg.errors import RoadsegError
    from roadseg.training import fit

    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--max-steps", type=int)
    given = parser.parse_args()
    plan = shared(given.name, given.data)
    try:
        fit(plan, given.out, device="cpu", resume=given.resume, max_steps=given.max_steps)
    except RoadsegError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
