"""A quarter of CamVid's labels: alone, and with labels that the network trained so makes for the rest.

    roadseg data subset data/camvid --share 0.25 -o data/quarter.yaml
    roadseg sweep benchmarks/experiments/quarter_labels.py:teachers -o runs/quarter
    for seed in 0 1 2; do
        roadseg autolabel --data data/quarter.yaml --split train-rest --threshold 0.9 \
            --weights runs/quarter/quarter-$seed/last.safetensors -o data/auto-$seed
    done
    roadseg sweep benchmarks/experiments/quarter_labels.py:students -o runs/students
    python benchmarks/seeds.py runs/quarter runs/students --data data/camvid --split test

Steps, batches and crops are equal. The student starts anew, with its teacher's seed.
"""

import dataclasses

from roadseg import recipes
from roadseg.recipes import Recipe

SEEDS = (0, 1, 2)


def teachers() -> list[Recipe]:
    """Return the runs on the labeled quarter."""
    return [plan("quarter", seed) for seed in SEEDS]


def students() -> list[Recipe]:
    """Return the runs on the labeled quarter and on what the teachers labeled."""
    return [plan("quarter-and-teacher", seed, f"data/auto-{seed}/data.yaml@train@") for seed in SEEDS]


def plan(name: str, seed: int, *parts: str) -> Recipe:
    """Return one run."""
    base = recipes.get("fast-scnn.camvid-30min")
    return dataclasses.replace(
        base,
        name=f"{name}-{seed}",
        data=recipes.Data(root="data/quarter.yaml", train="train", val="", parts=parts),
        preprocess=recipes.Preprocess(short_side=480),
        augment=dataclasses.replace(base.augment, crop=(224, 288)),
        steps=400,
        seed=seed,
        expects=(),
    )
