"""Which changes to Fast-SCNN's plan help on CamVid: short runs on the training images, compared on the validation images.

    roadseg sweep benchmarks/experiments/small_trials.py -o runs/trials
    python benchmarks/results.py runs/trials/* --data data/camvid

Every run adds one change to the one before; all start from scratch. The test images are not looked at for any choice.
"""

import dataclasses

from roadseg import recipes
from roadseg.recipes import Recipe


def sweep() -> list[Recipe]:
    """Return the runs."""
    plain = dataclasses.replace(
        recipes.get("fast-scnn.camvid-30min"),
        name="trial.plain",
        data=recipes.Data(root="data/camvid", train="train", val="val"),
        steps=500,
        eval_every=11,
        expects=(),
    )
    refined = dataclasses.replace(
        plain,
        name="trial.refined",
        model=dataclasses.replace(plain.model, options={**plain.model.options, "refine": 48}),
    )
    rare = dataclasses.replace(
        refined, name="trial.rare", sampling=recipes.RareClass(share=0.5, power=0.5, tile=128)
    )
    mild = dataclasses.replace(
        rare,
        name="trial.mild",
        loss=dataclasses.replace(plain.loss, enet_constant=1.4),
        aux=dataclasses.replace(plain.aux, loss=dataclasses.replace(plain.loss, enet_constant=1.4)),
    )
    return [plain, refined, rare, mild]
