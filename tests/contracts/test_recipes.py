"""Every recipe trains two steps on a fake data set of its kind."""

import dataclasses
import json

import pytest

from roadseg import recipes
from roadseg.models import catalog
from roadseg.training import fit
from tests.fakes import fake_camvid


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipe_trains_two_steps(name, tmp_path):
    plan = recipes.get(name)
    fake_camvid(tmp_path / "data")
    small = dataclasses.replace(
        plan,
        model=dataclasses.replace(plan.model, weights=None),
        data=dataclasses.replace(plan.data, root=str(tmp_path / "data")),
        augment=dataclasses.replace(plan.augment, crop=(64, 64)),
        batch_size=2,
        epochs=1,
        workers=0,
        eval_every=1,
    )
    result = fit(small, tmp_path / "run", device="cpu", max_steps=2)
    assert result.steps == 2


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipe_is_complete_and_writable(name):
    plan = recipes.get(name)
    assert plan.name == name
    assert plan.paper.startswith("https://arxiv.org/abs/")
    assert plan.model.name in catalog.names()
    assert json.loads(json.dumps(plan.to_json()))["name"] == name
    assert plan == recipes.get(name)


def test_scaling_the_batch_scales_the_learning_rate():
    plan = recipes.get("fast-scnn.camvid")
    half = recipes.scaled(plan, plan.batch_size // 2)
    assert half.optim.lr == pytest.approx(plan.optim.lr / 2)


def test_an_unknown_recipe_names_the_known_ones():
    from roadseg.errors import RecipeError

    with pytest.raises(RecipeError, match=r"fast-scnn\.camvid"):
        recipes.get("fast-scnn.mars")
