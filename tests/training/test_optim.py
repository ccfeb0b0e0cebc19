import itertools
import math

import pytest
import torch
from torch import nn

from roadseg.recipes import Cosine, Poly
from roadseg.training.optim import averaged, learning_rate, parameter_groups


def test_poly_follows_the_formula():
    rates = [learning_rate(Poly(power=0.9), 0.1, step, 10) for step in range(10)]
    assert rates == pytest.approx([0.1 * (1 - step / 10) ** 0.9 for step in range(10)])


def test_cosine_ends_at_its_final_share():
    assert learning_rate(Cosine(final=0.1), 2.0, 0, 100) == pytest.approx(2.0)
    assert learning_rate(Cosine(final=0.1), 2.0, 100, 100) == pytest.approx(0.2)
    assert learning_rate(Cosine(), 2.0, 50, 100) == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", [Poly(warmup=0.2), Cosine(warmup=0.2)])
def test_warmup_grows_linearly_to_the_peak(schedule):
    rates = [learning_rate(schedule, 1.0, step, 50) for step in range(50)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_only_full_filters_are_decayed_when_asked():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.PReLU(8)
    )
    decayed, free = parameter_groups(model, 1e-4, decay_all=False)
    assert decayed["params"] == [model[0].weight]
    assert len(free["params"]) == 5
    assert free["weight_decay"] == 0.0
    (everything,) = parameter_groups(model, 1e-4, decay_all=True)
    assert len(everything["params"]) == 6


def test_average_follows_the_formula_and_copies_counters():
    model = nn.BatchNorm2d(2)
    average = averaged(model, 0.9)
    expected = 0.0
    for number in range(30):
        with torch.no_grad():
            model.bias.fill_(float(number))
            model.running_mean.fill_(float(number))
            model.num_batches_tracked.fill_(number)
        average.update_parameters(model)
        decay = min(0.9, (1 + number) / (10 + number))
        expected = float(number) if number == 0 else decay * expected + (1 - decay) * number
    assert average.module.bias.tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert average.module.running_mean.tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert int(average.module.num_batches_tracked) == 29
    assert math.isfinite(expected)
