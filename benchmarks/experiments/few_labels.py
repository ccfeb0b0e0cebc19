"""Few annotated frames of video: alone, with propagated neighbors, and with relaxed labels at borders too.

    roadseg data synth data/clips --layout camvid --images 0 --sequences 34 --frames 11 --size 180x240 --seed 1
    roadseg data synth data/town --layout camvid --images 160 --size 180x240 --seed 2
    roadseg propagate data/clips -o data/few --every 11 --frames 0..4 --occlusion check
    roadseg sweep benchmarks/experiments/few_labels.py -o runs/few_labels
    python benchmarks/seeds.py runs/few_labels --data data/town --split train+val+test

Of each of the 24 clips one frame is annotated. Steps, batches and crops are equal; what differs is where they come from.
"""

import dataclasses
from collections.abc import Iterator

from roadseg import recipes
from roadseg.recipes import Loss, Recipe

OFFSETS = (1, 2, 3)
SEEDS = (0, 1, 2)


def sweep() -> list[Recipe]:
    """Return three ways with three seeds each."""
    return [run for seed in SEEDS for run in ways(seed)]


def ways(seed: int) -> Iterator[Recipe]:
    """Yield the runs of a seed."""
    base = recipes.get("fast-scnn.camvid-30min")
    neighbors = [f"{side}{offset}" for offset in OFFSETS for side in ("plus", "minus")]
    everything = "+".join(["annotated", *neighbors])
    plans: dict[str, tuple[str, Loss]] = {
        "annotated": ("annotated", base.loss),
        "propagated": (everything, base.loss),
        "relaxed": (everything, recipes.Relaxed()),
    }
    for name, (train, loss) in plans.items():
        yield dataclasses.replace(
            base,
            name=f"{name}-{seed}",
            data=recipes.Data(root="data/few/data.yaml", train=train, val=""),
            preprocess=recipes.Preprocess(short_side=288),
            augment=dataclasses.replace(base.augment, crop=(192, 256)),
            loss=loss,
            steps=400,
            seed=seed,
            expects=(),
        )
