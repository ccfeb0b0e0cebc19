"""A quarter of CamVid's labels: alone, and with labels that the network trained so makes for the rest.

    roadseg data subset data/camvid --share 0.25 -o data/quarter.yaml
    roadseg sweep benchmarks/experiments/quarter_labels.py:teachers -o runs/quarter
    for seed in 0 1 2; do
        roadseg autolabel --data data/quarter.yaml --split train-rest --threshold 0.6 \
            --weights runs/quarter/quarter-$seed/last.safetensors -o data/auto-$seed
    done
    roadseg sweep benchmarks/experiments/quarter_labels.py:students -o runs/students
    python benchmarks/seeds.py runs/quarter runs/students --data data/camvid --split test --first longer

`quarter` is the teacher. Both kinds of students go on from its weights, equally long, with its seed: `longer` on the labeled
quarter alone, `taught` with half of every batch from what the teacher labeled.
"""

import dataclasses
from collections.abc import Iterator

from roadseg import recipes
from roadseg.recipes import Recipe

SEEDS = (0, 1, 2)


def teachers() -> list[Recipe]:
    """Return the runs on the labeled quarter."""
    return [plan(f"quarter-{seed}", seed) for seed in SEEDS]


def students() -> list[Recipe]:
    """Return the runs that go on, alone and taught."""
    return [run for seed in SEEDS for run in pair(seed)]


def pair(seed: int) -> Iterator[Recipe]:
    """Yield the two runs that go on from a teacher."""
    teacher = f"runs/quarter/quarter-{seed}/last.safetensors"
    alone = plan(f"longer-{seed}", seed)
    alone = dataclasses.replace(
        alone,
        model=dataclasses.replace(alone.model, weights=teacher),
        optim=dataclasses.replace(alone.optim, lr=1e-3),
    )
    yield alone
    yield dataclasses.replace(
        alone,
        name=f"taught-{seed}",
        data=dataclasses.replace(alone.data, parts=(f"data/auto-{seed}/data.yaml@train@",)),
        sampling=recipes.Balanced(),
    )


def plan(name: str, seed: int) -> Recipe:
    """Return a run on the labeled quarter."""
    base = recipes.get("fast-scnn.camvid-30min")
    return dataclasses.replace(
        base,
        name=name,
        data=recipes.Data(root="data/quarter.yaml", train="train", val=""),
        preprocess=recipes.Preprocess(short_side=480),
        augment=dataclasses.replace(base.augment, crop=(224, 288)),
        steps=400,
        seed=seed,
        expects=(),
    )
