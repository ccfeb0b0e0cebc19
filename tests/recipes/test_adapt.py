"""Recipes on fewer GPUs than they were written for."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.recipes import SGD, Augment, Model, Recipe
from roadseg.recipes.adapt import adapted, scaled

EIGHT = Recipe(
    name="net.city",
    paper="none",
    model=Model(name="net"),
    augment=Augment(crop=(8, 8)),
    optim=SGD(lr=0.02),
    epochs=175,
    batch_size=16,
    devices=8,
)


def test_scaled_follows_the_batch():
    recipe = scaled(EIGHT, 4)
    assert (recipe.batch_size, recipe.optim.lr) == (4, pytest.approx(0.005))


@pytest.mark.parametrize("devices", [8, 16])
@pytest.mark.parametrize("on_fewer", ["scale", "accumulate", "keep"])
def test_nothing_changes_where_there_are_enough(devices, on_fewer):
    recipe = dataclasses.replace(EIGHT, on_fewer=on_fewer)
    assert adapted(recipe, devices) == (recipe, None)


def test_scaling_keeps_the_samples_per_gpu():
    recipe, sentence = adapted(EIGHT, 2)
    expected = dataclasses.replace(EIGHT, batch_size=4, optim=SGD(lr=0.005), devices=2)
    assert recipe == expected
    assert sentence == (
        "net.city is written for 8 GPUs and runs on 2: batch 16 -> 4, learning rate 0.02 -> 0.005;"
        " --on-fewer accumulate keeps them, and --batch-size N chooses a batch"
    )


def test_scaling_keeps_the_samples_seen():
    recipe, sentence = adapted(dataclasses.replace(EIGHT, steps=1001, accumulate=2), 3)
    assert (recipe.batch_size, recipe.accumulate, recipe.epochs) == (6, 2, 175)
    assert recipe.steps == 2670  # 1001 * 16 / 6, rounded up
    assert "steps 1001 -> 2670" in sentence


def test_every_gpu_keeps_a_sample():
    recipe, _ = adapted(dataclasses.replace(EIGHT, batch_size=4), 3)
    assert recipe.batch_size == 3
    assert recipe.optim.lr == pytest.approx(0.015)


def test_accumulating_keeps_batch_and_rate():
    recipe, sentence = adapted(dataclasses.replace(EIGHT, on_fewer="accumulate", steps=1000), 2)
    assert recipe == dataclasses.replace(EIGHT, on_fewer="accumulate", steps=1000, accumulate=4, devices=2)
    assert sentence == (
        "net.city is written for 8 GPUs and runs on 2: parts of a step 1 -> 4; --on-fewer scale lowers batch and"
        " learning rate instead, and --batch-size N chooses a batch"
    )


def test_accumulating_takes_smaller_parts_where_they_would_be_uneven():
    recipe, _ = adapted(dataclasses.replace(EIGHT, batch_size=24, on_fewer="accumulate"), 3)
    assert recipe.accumulate == 4  # 3 would not divide the 8 samples of a GPU
    assert recipe.batch_size % (3 * recipe.accumulate) == 0


def test_keeping_changes_nothing():
    recipe = dataclasses.replace(EIGHT, on_fewer="keep")
    assert adapted(recipe, 1) == (recipe, None)


@given(
    per_gpu=st.integers(1, 4),
    published=st.integers(1, 16),
    devices=st.integers(1, 16),
    accumulate=st.sampled_from([1, 2]),
    steps=st.none() | st.integers(1, 5000),
    on_fewer=st.sampled_from(["scale", "accumulate", "keep"]),
)
@settings(max_examples=50, deadline=None)
def test_no_gpu_holds_more_than_published(per_gpu, published, devices, accumulate, steps, on_fewer):
    recipe = dataclasses.replace(
        EIGHT,
        batch_size=per_gpu * published * accumulate,
        devices=published,
        accumulate=accumulate,
        steps=steps,
        on_fewer=on_fewer,
    )
    changed, sentence = adapted(recipe, devices)
    assert adapted(changed, devices) == (changed, None) or on_fewer == "keep"
    assert (sentence is None) == (changed == recipe)
    if sentence is None:
        return
    even = changed.batch_size % (devices * changed.accumulate) == 0
    if even:
        assert changed.batch_size // (devices * changed.accumulate) <= per_gpu
    if on_fewer == "scale":
        assert even
        assert changed.optim.lr / changed.batch_size == pytest.approx(recipe.optim.lr / recipe.batch_size)
        assert (
            steps is None
            or 0 <= changed.steps * changed.batch_size - steps * recipe.batch_size < changed.batch_size
        )
    else:
        assert even == (recipe.batch_size % devices == 0)
