"""Every recipe trains two steps on a fake data set of its kind, and can be planned where there is nothing."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg import recipes
from roadseg.cli.train_plan import Plan
from roadseg.labels import space
from roadseg.media import read_mask
from roadseg.models import catalog
from roadseg.recipes import Data, Recipe
from roadseg.training import fit
from roadseg.training.memory import TrainingMemory, estimate_memory
from tests.fakes import fake_camvid, fake_cityscapes, fake_kitti, fake_mapillary, fake_yaml, save
from tests.fakes_general import fake_pascal_context, fake_scannet, fake_voc
from tests.slim import stand_in

PLANS = [recipes.get(name) for name in recipes.names()]
FAKES = {
    "camvid": fake_camvid,
    "cityscapes": fake_cityscapes,
    "kitti": fake_kitti,
    "mapillary": fake_mapillary,
    "pascal": fake_pascal_context,
    "scannet": fake_scannet,
    "voc": partial(fake_voc, augmented=True),
}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fake of every kind of data set, by its name; ``autolabels`` are for the Cityscapes one."""
    top = tmp_path_factory.mktemp("data")
    made = {name: fake(top / name) for name, fake in FAKES.items()}
    for number in range(7):
        made[f"mseg-{number}"] = fake_yaml(top / f"mseg-{number}").parent
    made["autolabels"] = top / "autolabels"
    for label in made["cityscapes"].glob("gtCoarse/train_extra/*/*_labelIds.png"):
        name = label.name.replace("_gtCoarse_labelIds.png", "_leftImg8bit")
        made["autolabels"].mkdir(exist_ok=True)
        shutil.copy(label, made["autolabels"] / f"{name}.png")
        save(made["autolabels"] / f"{name}_prob.png", np.full_like(read_mask(label), 200))
    made["propagated"] = top / "propagated" / "data.yaml"
    shutil.copytree(made["mseg-0"], top / "propagated")
    lists = {"plus3": "images/train", "minus3": "images/val"}
    facts = {"train": "images/train", "splits": lists, "space": "cityscapes-19"}
    made["propagated"].write_text(json.dumps(facts), encoding="utf-8")
    return made


def data_for(plan: Recipe, roots: dict[str, Path]) -> Data:
    """The recipe's data, in a fake of their kind."""
    kind = plan.name.partition(".")[2].partition("-")[0]
    if plan.data.space == "mseg-194":
        parts = tuple(str(roots[f"mseg-{number + 1}"]) for number in range(len(plan.data.parts)))
        return dataclasses.replace(plan.data, root=str(roots["mseg-0"]), parts=parts)
    parts = tuple(
        part.replace("data/propagated/data.yaml", str(roots["propagated"])) for part in plan.data.parts
    )
    labels = plan.data.autolabels
    if labels is not None:
        labels = dataclasses.replace(labels, root=str(roots["autolabels"]))
    root = roots["camvid" if kind == "synthetic" else kind]
    return dataclasses.replace(plan.data, root=str(root), parts=parts, autolabels=labels)


def shrunk(plan: Recipe, roots: dict[str, Path]) -> Recipe:
    """The recipe with all its parts, but a small network, small crops and two steps."""
    return dataclasses.replace(
        plan,
        model=stand_in(plan.model),
        data=data_for(plan, roots),
        preprocess=dataclasses.replace(plan.preprocess, size=None, short_side=None),
        augment=dataclasses.replace(plan.augment, crop=(64, 64)),
        batch_size=1 + len(plan.data.parts) if plan.data.parts else 2,
        devices=1,
        epochs=1,
        steps=2,
        workers=0,
    )


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipe_trains_two_steps(name, roots, tmp_path):
    plan = shrunk(recipes.get(name), roots)
    result = fit(plan, tmp_path / "run", device="cpu")
    assert (result.steps, result.finished) == (2, True)
    assert (result.best is not None) == bool(plan.data.val)
    assert result.weights.is_file()


@pytest.fixture(scope="module")
def estimate() -> Callable[..., TrainingMemory | None]:
    """`estimate_memory`, which traces the real network, once per network: what a trace costs is the same for all."""
    known: dict[str, TrainingMemory | None] = {}

    def remembered(recipe: Recipe, num_classes: int, devices: int) -> TrainingMemory | None:
        key = f"{recipe.model.name} {recipe.model.options}"
        if key not in known:
            known[key] = estimate_memory(recipe, num_classes, devices)
        return known[key]

    return remembered


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipe_can_be_planned_without_data(name, tmp_path, monkeypatch, estimate):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("roadseg.cli.train_plan.estimate_memory", estimate)
    plan = recipes.get(name)
    shown = Plan.of(plan, Path("run"), "cpu")
    assert shown.steps > 0 or not plan.data.images
    assert shown.memory is not None
    assert shown.memory.params > 0
    parts = [part.partition("@")[0] for part in plan.data.parts]
    wanted = [plan.data.root or "no data is given", *parts, plan.model.weights or ""]
    for each in wanted:
        assert any(each in problem for problem in shown.missing), each
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipe_s_values_fit_together(name):
    plan = recipes.get(name)
    assert plan.batch_size % plan.devices == 0
    if plan.data.space:
        assert space(plan.data.space).num_classes > 1
        assert plan.data.images > 0
    if plan.data.autolabels is not None and plan.data.autolabels.split not in plan.data.train:
        assert plan.sampling.boost_split == plan.data.autolabels.split
    if plan.steps is not None and plan.data.images:
        assert plan.epochs - 1 <= plan.steps * plan.batch_size / plan.data.images <= plan.epochs
    assert plan.data.val or plan.select_best  # without validation there is nothing to select
    if plan.data.space == "camvid-11" and plan.data.val == "test":
        assert not plan.select_best


def test_auxiliary_weights_are_one_for_all_outputs_or_one_for_each():
    models = {
        (plan.model.name, len(plan.aux.weights)): plan.model for plan in PLANS if len(plan.aux.weights) > 1
    }
    for (name, weights), model in models.items():
        with torch.device("meta"):
            outputs = catalog.build(name, 5, **model.options).train()(torch.empty(2, 3, 64, 64)).aux
        assert len(outputs) == weights, name


def test_a_trunk_with_a_rate_of_its_own_is_there():
    for plan in PLANS:
        if plan.optim.trunk_lr != 1 or plan.optim.trunk_weight_decay != 1:
            model = stand_in(plan.model)
            assert isinstance(catalog.build(model.name, 5, **model.options).backbone, torch.nn.Module)


def test_a_stage_starts_from_what_an_earlier_recipe_leaves_behind():
    """Its name, and the file that it leaves: the best weights where it can and does select them, else the last."""
    for plan in PLANS:
        if plan.model.weights is None:
            continue
        folder, file = Path(plan.model.weights).parts[1:]
        earlier = recipes.get(folder)
        selects = earlier.select_best and earlier.data.val
        assert file == ("best.safetensors" if selects else "last.safetensors"), plan.name


def test_variants_differ_and_expect_no_more_than_what_is_known():
    values = [json.dumps({**plan.to_json(), "name": "", "expects": []}) for plan in PLANS]
    same = [
        (a.name, b.name)
        for (a, x), (b, y) in itertools.combinations(zip(PLANS, values, strict=True), 2)
        if x == y
    ]
    assert not same
    for plan in PLANS:
        for item in plan.expects:
            assert item.published is None or 0 < item.published < 100
            assert (item.ours is None) == (item.hardware is None) == (item.command is None)
