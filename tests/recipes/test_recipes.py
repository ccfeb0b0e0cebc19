"""The catalog of recipes, and its page."""

import dataclasses
import json
import subprocess
import sys

import pytest

from roadseg import recipes
from roadseg.errors import RecipeError
from roadseg.recipes import Auxiliary, CrossEntropy, Relaxed, Step, half_hour, label_relaxation
from tests.write_recipe_table import FILE, page


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_called_what_the_catalog_calls_it_and_is_writable(name):
    plan = recipes.get(name)
    assert plan.name == name
    assert plan.paper.startswith("https://arxiv.org/abs/")
    assert plan == recipes.get(name)
    plain = plan.to_json()
    assert json.loads(json.dumps(plain)) == plain


def test_every_function_of_a_recipe_says_how_it_is_run():
    for name, function in recipes._RECIPES.items():
        assert f"train {name}" in " ".join((function.__doc__ or "").split()), name


def test_no_recipe_is_left_out_of_the_catalog():
    listed = set(recipes._RECIPES.values())
    for module in {sys.modules[function.__module__] for function in listed}:
        for name in module.__all__:
            value = getattr(module, name)
            assert not callable(value) or value in listed, f"{module.__name__}.{name}"


def test_scaling_the_batch_scales_the_learning_rate():
    plan = recipes.get("fast-scnn.camvid")
    half = recipes.scaled(plan, plan.batch_size // 2)
    assert half.optim.lr == pytest.approx(plan.optim.lr / 2)


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"fast-scnn\.camvid"):
        recipes.get("fast-scnn.mars")


def test_the_page_of_recipes_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == page(), "run `python -m tests.write_recipe_table`"


def test_recipes_load_without_torch():
    code = "import sys; from roadseg import recipes; [recipes.get(n) for n in recipes.names()]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_rate_for_sums_is_one_for_means():
    """k times the loss at a rate is the loss at k times the rate: gradient and decay move a weight alike."""
    gradient, weight, factor = 0.3, 2.0, 4.0
    published = 1e-3 * (factor * gradient + 1e-4 * weight)
    plan = recipes.get("deeplabv3plus-wrn38.cityscapes-relaxed")
    assert isinstance(plan.loss, Relaxed)
    assert not plan.loss.compat
    assert plan.optim.lr * (gradient + plan.optim.weight_decay * weight) == pytest.approx(published)
    assert label_relaxation.wrn38_mapillary().optim.lr == pytest.approx(4e-2)


def test_the_half_hour_plans_differ_in_few_values_alone():
    plain = dataclasses.fields(recipes.Recipe)
    plans = [recipes.get(name) for name in recipes.names() if name.endswith("-30min")]
    assert len(plans) == 4
    for plan in plans:
        assert plan.aux == Auxiliary(weights=plan.aux.weights, loss=half_hour.LOSS)
        assert plan.loss == half_hour.LOSS == CrossEntropy(class_weights="enet", enet_constant=1.2)
        differing = {f.name for f in plain if getattr(plan, f.name) != getattr(plans[0], f.name)}
        assert differing <= {
            *(
                "name",
                "paper",
                "model",
                "preprocess",
                "augment",
                "aux",
                "optim",
                "epochs",
                "eval_every",
                "expects",
            ),
        }


def test_espnet_is_trained_in_two_stages():
    encoder, whole = recipes.get("espnet-c.cityscapes"), recipes.get("espnet.cityscapes")
    assert (encoder.batch_size, whole.batch_size) == (12, 6)
    assert encoder.schedule == whole.schedule == Step(every=100, factor=0.5)
    assert encoder.name in str(whole.model.weights)
