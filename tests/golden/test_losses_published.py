"""Losses against values and gradients of the published implementations.

Not reachable on purpose:

* ``norm1`` cases of ``nvmain_ce`` and ``sdcnet_ce``: class weights ``1 + bound / share``, which no published recipe uses
  and which grow without bound for small classes.
* ``lambda_way=0`` of ``rmi``, BCE + lambda * RMI, is reached up to a factor, as shares add up to one.
* ``imgwt_ce_main_*`` of ``nvidia``: the published code raises an error there, so there is no value.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from roadseg.losses import (
    BinaryCrossEntropyLoss,
    Criterion,
    CrossEntropyLoss,
    ImageWeightedLoss,
    RelaxedLoss,
    RMILoss,
)
from tests.losses.test_relaxation import near_dense

IGNORE = 255
POOLS = ("max", "average", "interpolate")


@dataclass(frozen=True)
class Reference:
    """One folder of cases: their facts, and their arrays."""

    cases: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name])

    def check(
        self, name: str, loss: Criterion, logits: torch.Tensor, mask: torch.Tensor, factor: float = 1.0
    ) -> None:
        logits = logits.clone().requires_grad_()
        value = factor * loss(logits, mask)
        assert float(value.detach()) == pytest.approx(self.cases[name]["loss"], rel=1e-5)
        want = self.tensor(f"{name}__grad")
        (gradient,) = torch.autograd.grad(value, logits)
        assert float((gradient - want).abs().max() / want.abs().max()) < 1e-4


def read(shared: Path, name: str) -> Reference:
    folder = shared / "golden" / "losses"
    cases = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    with np.load(folder / f"{name}.npz") as arrays:
        return Reference(cases, dict(arrays))


def test_region_mutual_information(shared: Path) -> None:
    reference = read(shared, "rmi")
    assert len(reference.cases) == 9
    for name, case in reference.cases.items():
        logits, mask = reference.tensor(case["logits"]), reference.tensor(case["target"])
        options = case["kwargs"]
        if not case["do_rmi"]:
            reference.check(name, BinaryCrossEntropyLoss(IGNORE), logits, mask)
            continue
        added = "lambda_way" in options  # BCE + RMI / 2 instead of the mean
        loss = RMILoss(
            IGNORE,
            share=1 / 3 if added else 1 - options.get("loss_weight_lambda", 0.5),
            radius=options.get("rmi_radius", 3),
            pool=POOLS[options.get("rmi_pool_way", 1)],
        )
        reference.check(name, loss, logits, mask, factor=1.5 if added else 1.0)


@pytest.mark.parametrize(("file", "per_image"), [("nvmain_ce", False), ("sdcnet_ce", True)])
def test_image_weighted_cross_entropy(shared: Path, file: str, per_image: bool) -> None:
    reference = read(shared, file)
    logits, mask = reference.tensor("logits"), reference.tensor("target")
    reached = 0
    for name, case in reference.cases.items():
        if case.get("norm"):
            continue
        over = "image" if per_image and not case.get("batch_weighting") else "batch"
        loss = (
            CrossEntropyLoss(IGNORE)
            if name == "ce"
            else ImageWeightedLoss(IGNORE, bound=case["upper_bound"], over=over, reduction="sum")
        )
        reference.check(name, loss, logits, mask)
        reached += 1
    assert reached == (4 if per_image else 5)


def test_relaxation(shared: Path) -> None:
    reference = read(shared, "sdcnet_relaxed")
    assert len(reference.cases) == 22
    for name, case in reference.cases.items():
        number = case["batch"]
        logits, mask = reference.tensor("logits")[:number], reference.tensor("target")[:number]
        for compat in (True, False) if number == 1 else (True,):
            loss = RelaxedLoss(
                IGNORE,
                num_classes=19,
                radius=case["border_window"],
                strict=case.get("strict_classes") or (),
                off_epoch=case.get("reduce_border_epoch"),
                bound=case.get("upper_bound", 1.0),
                over="batch" if case.get("batch_weighting") else "image",
                compat=compat,
            )
            loss.start_epoch(case.get("epoch", 0))
            reference.check(name, loss, logits, mask)
            if "epoch" not in case:
                packed = reference.arrays[case["multihot"]]
                want = np.unpackbits(packed)[: 2 * 20 * mask[0].numel()].reshape(2, 20, *mask.shape[1:])
                assert np.array_equal(near_dense(loss, mask).numpy(), want[:number])


@pytest.fixture(scope="module")
def four_classes(shared: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    folder = shared / "golden" / "nvidia"
    facts = json.loads((folder / "nvidia_golden_main.json").read_text(encoding="utf-8"))
    with np.load(folder / "nvidia_golden_main.npz") as arrays:
        return dict(arrays), facts


def test_terms_of_region_mutual_information(four_classes) -> None:
    arrays, facts = four_classes
    logits, mask, want = torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["labels"]), facts["rmi"]
    assert float(BinaryCrossEntropyLoss(IGNORE)(logits, mask)) == pytest.approx(want["bce"], rel=1e-5)
    assert float(RMILoss(IGNORE, share=1.0)(logits, mask)) == pytest.approx(want["rmi_term"], rel=1e-5)
    logits.requires_grad_()
    total = RMILoss(IGNORE)(logits, mask)
    assert float(total.detach()) == pytest.approx(want["total"], rel=1e-5)
    (gradient,) = torch.autograd.grad(total, logits)
    assert float(gradient.double().sum()) == pytest.approx(want["grad_sum"], rel=1e-4)
    assert float(gradient.double().abs().sum()) == pytest.approx(want["grad_abs_sum"], rel=1e-4)
    logits = logits.detach()
    for label, name in ((0, "total_all_class0"), (IGNORE, "total_all_ignored")):
        value = RMILoss(IGNORE)(logits, torch.full_like(mask, label))
        assert float(value) == pytest.approx(want[name], rel=1e-5)
    assert float(CrossEntropyLoss(IGNORE)(logits, mask)) == pytest.approx(facts["ce"], rel=1e-5)


@pytest.mark.parametrize(
    ("target", "value", "options", "epoch"),
    [
        ("relaxed", "relax_loss_N1", {}, 0),
        ("relaxed_strict13", "relax_loss_strict13_N1", {"strict": (1, 3)}, 0),
        ("relaxed_after_off", "relax_loss_after_off_N1", {"off_epoch": 0}, 1),
    ],
)
def test_relaxation_of_four_classes(four_classes, target, value, options, epoch) -> None:
    arrays, facts = four_classes
    logits, mask = torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["labels"])
    loss = RelaxedLoss(IGNORE, num_classes=4, **options)
    loss.start_epoch(epoch)
    if loss.relaxed:
        assert np.array_equal(near_dense(loss, mask).numpy(), arrays[target])
    each = [float(loss(logits[i : i + 1], mask[i : i + 1])) for i in range(2)]
    assert each == pytest.approx(facts[value], rel=1e-5)
    # Clean: the mean over images.
    assert float(loss(logits, mask)) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_published_coupling_of_a_batch(four_classes) -> None:
    arrays, facts = four_classes
    loss = RelaxedLoss(IGNORE, num_classes=4, compat=True)
    value = loss(torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["labels"]))
    assert float(value) == pytest.approx(facts["relax_loss_N2"], rel=1e-5)
