import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Sample
from roadseg.errors import RecipeError
from roadseg.losses import CrossEntropyLoss, OutputLoss
from roadseg.recipes import Balanced, Engine
from roadseg.training import fit
from roadseg.training.distributed import World
from roadseg.training.multi_objective import MinNormGradients, min_norm_weights
from tests.tiny import TinyNet
from tests.training.plans import composite, recipe, shared, torchrun, weights_of

IGNORE = 255
ALONE = World(0, 1, torch.device("cpu"))


def combined(vectors, weights):
    return (weights[:, None] * vectors).sum(0)


class TestMinNormWeights:
    @pytest.mark.parametrize(
        ("one", "other", "first"),
        [
            ((1, 0), (0, 1), 0.5),  # at a right angle
            ((2, 0), (0, 1), 1 / 5),
            ((1, 0), (-1, 0), 0.5),  # opposed: no direction lowers both
            ((3, 0), (-1, 0), 1 / 4),
            ((1, 0), (2, 0), 1),  # the shorter of two in one direction
            ((1, 0), (2, 1), 1),  # acute, and so much longer that the shorter one alone is nearest
            ((1, 1), (1, -1), 0.5),
        ],
    )
    def test_two_vectors(self, one, other, first):
        vectors = np.array([one, other], float)
        np.testing.assert_allclose(min_norm_weights(vectors @ vectors.T), [first, 1 - first], atol=1e-9)

    @given(st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=6, max_size=6))
    @settings(max_examples=50, deadline=None)
    def test_two_vectors_equal_the_closed_form(self, values):
        one, other = np.array(values).reshape(2, 3)
        apart = float(((one - other) ** 2).sum())
        if apart < 1e-6:
            return
        share = min(1, max(0, float((other - one) @ other) / apart))  # Sener and Koltun 2018, equation 4
        vectors = np.stack([one, other])
        found = combined(vectors, min_norm_weights(vectors @ vectors.T))
        np.testing.assert_allclose(found, combined(vectors, np.array([share, 1 - share])), atol=2e-4)

    @given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 10**6))
    @settings(max_examples=50, deadline=None)
    def test_no_objective_grows_along_the_combination(self, count, length, seed):
        vectors = np.random.default_rng(seed).normal(size=(count, length))
        weights = min_norm_weights(vectors @ vectors.T)
        shortest = combined(vectors, weights)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        # The conditions of Karush, Kuhn and Tucker: each product is at least the squared length.
        assert (vectors @ shortest).min() >= shortest @ shortest - 1e-6 * (vectors**2).sum(1).max()

    def test_products_that_are_no_numbers_give_no_weights(self):
        assert np.isnan(min_norm_weights(np.array([[1, np.inf], [np.inf, 1]]))).all()

    def test_equal_vectors_share_equally(self):
        np.testing.assert_allclose(min_norm_weights(np.ones((3, 3))), [1 / 3] * 3)


def batch(seed, count=4):
    torch.manual_seed(seed)
    return Sample(
        torch.rand(count, 3, 16, 16), torch.randint(0, 3, (count, 16, 16)), tuple("abcdefgh"[:count])
    )


def one_loss():
    return OutputLoss(CrossEntropyLoss(IGNORE), align_corners=False)


def gradients_of(model, parts, origins, names="AB"):
    objectives = MinNormGradients(names, model, one_loss(), ALONE)
    value = objectives.backward(model, parts, [torch.tensor(each) for each in origins], lambda x: x)
    return [parameter.grad.clone() for parameter in model.parameters()], value, objectives.mean_weights()


class TestGradients:
    def test_one_objective_has_the_plain_gradients(self):
        model, part = TinyNet(3), batch(1)
        found, value, weights = gradients_of(model, [part], [[0] * 4], "A")
        output = model(part.image)
        loss = one_loss()(output.logits, part.mask, output.aux)
        plain = torch.autograd.grad(loss, list(model.parameters()))
        torch.testing.assert_close(found, list(plain))
        torch.testing.assert_close(value, loss.detach())
        assert weights == {"A": 1.0}

    def test_parts_of_a_step_add_up(self):
        model, part = TinyNet(3), batch(2)
        part.mask[1, :9] = IGNORE
        halves = [
            Sample(part.image[rows], part.mask[rows], part.key[rows]) for rows in (slice(2), slice(2, 4))
        ]
        whole = gradients_of(model, [part], [[0, 1, 1, 0]])
        split = gradients_of(model, halves, [[0, 1], [1, 0]])
        torch.testing.assert_close(whole[:2], split[:2])
        assert whole[2] == pytest.approx(split[2], abs=1e-3)

    def test_two_objectives_of_unit_length_share_equally(self):
        model, part = TinyNet(3), batch(3)
        found, _, weights = gradients_of(model, [part], [[0, 0, 1, 1]])
        own = [
            gradients_of(model, [Sample(part.image[rows], part.mask[rows], "")], [[0, 0]], "A")[0]
            for rows in (slice(2), slice(2, 4))
        ]
        torch.testing.assert_close(found, [(one + other) / 2 for one, other in zip(*own, strict=True)])
        assert weights == {"A": 0.5, "B": 0.5}

    @pytest.mark.parametrize("how", ["no sample", "no label"])
    def test_an_objective_without_a_gradient_is_left_out(self, how):
        model, part = TinyNet(3), batch(4)
        origins = [0, 0, 0, 0]
        if how == "no label":
            part.mask[3], origins[3] = IGNORE, 1
        _, value, weights = gradients_of(model, [part], [origins])
        assert weights == {"A": 1.0, "B": 0.0}
        assert value > 0

    def test_what_no_loss_depends_on_gets_no_gradient(self):
        model = TinyNet(3)
        model.aux_head.requires_grad_(False)
        model.spare = torch.nn.Parameter(torch.ones(2))
        MinNormGradients("A", model, one_loss(), ALONE).backward(
            model, [batch(5)], [torch.zeros(4, dtype=torch.int64)], lambda x: x
        )
        assert model.spare.grad is None
        assert model.aux_head.weight.grad is None
        assert model.head.weight.grad is not None

    def test_a_loss_that_overflows_leaves_no_weights(self):
        model, part = TinyNet(3), batch(6)
        found, value, weights = gradients_of(
            model, [part._replace(image=part.image * torch.inf)], [[0, 0, 1, 1]]
        )
        assert not any(torch.isfinite(each).all() for each in found)
        assert weights == {}
        assert value.isnan()


@pytest.fixture
def camvid(composite_roots):
    return composite_roots[0]


class TestRuns:
    def test_one_data_set_trains_as_without(self, camvid, tmp_path):
        plan = recipe(camvid, epochs=1)
        fit(plan, tmp_path / "sum", device="cpu")
        fit(dataclasses.replace(plan, objectives="mgda"), tmp_path / "mgda", device="cpu")
        one, other = weights_of(tmp_path / "sum"), weights_of(tmp_path / "mgda")
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=1e-5, atol=1e-6)

    def test_a_resumed_run_equals_one_that_was_not(self, composite_roots, tmp_path):
        plan = composite(*composite_roots, objectives="mgda", accumulate=2)
        fit(plan, tmp_path / "whole", device="cpu")
        fit(plan, tmp_path / "parts", device="cpu", max_steps=2)
        fit(plan, tmp_path / "parts", device="cpu", resume=True)
        one, other = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
        assert all(torch.equal(value, other[key]) for key, value in one.items())
        row = json.loads((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()[-1])
        assert set(row["objectives"]) == {"camvid", "cityscapes", "kitti"}
        assert sum(row["objectives"].values()) == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize(
        "engine", [Engine(sharding="fsdp"), Engine(compress="float16"), Engine(compile=True)]
    )
    def test_engines_that_cannot_give_whole_gradients_are_refused(self, camvid, tmp_path, engine):
        plan = recipe(camvid, engine=engine, objectives="mgda", ema=0.0, sampling=Balanced())
        with pytest.raises(RecipeError, match=r"several objectives need whole gradients.*--objectives sum"):
            fit(plan, tmp_path, device="cpu")

    def test_two_processes_equal_one(self, composite_roots, tmp_path):
        fit(shared("mgda", composite_roots[0].parent), tmp_path / "one", device="cpu")
        done = torchrun(2, "mgda", str(composite_roots[0].parent), str(tmp_path / "two"))
        assert done.returncode == 0, done.stderr[-3000:]
        one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
        for key, value in one.items():
            torch.testing.assert_close(value, two[key], rtol=1e-4, atol=1e-6)
