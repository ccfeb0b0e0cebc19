"""Learning rates: the published values, and what every schedule promises."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.recipes import Cosine, Poly, RescaledPoly, Schedule, Step
from roadseg.training.schedule import learning_rate

EPOCHS, PER_EPOCH = 175, 7


def at_epoch(schedule: Schedule, epoch: int, within: int = 0) -> float:
    return learning_rate(schedule, 1.0, epoch * PER_EPOCH + within, EPOCHS * PER_EPOCH, PER_EPOCH)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1.0), (50, 0.714286), (99, 0.434286), (100, 1.0), (125, 0.544331), (150, 0.19245)]
)
def test_rescaled_poly_gives_the_published_values(epoch, rate):
    schedule = RescaledPoly(power=1.0, restart=100, rescale=1.0, power_after=1.5)
    assert at_epoch(schedule, epoch) == pytest.approx(rate, abs=5e-7)
    assert at_epoch(schedule, epoch, within=PER_EPOCH - 1) == at_epoch(schedule, epoch)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1.0), (50, 0.510204), (100, 0.183673), (150, 0.020408)])
def test_squared_poly_by_epoch_gives_the_published_values(epoch, rate):
    schedule = Poly(power=2.0, per="epoch")
    assert at_epoch(schedule, epoch) == pytest.approx(rate, abs=5e-7)
    assert at_epoch(schedule, epoch, within=PER_EPOCH - 1) == at_epoch(schedule, epoch)


def test_poly_by_step_follows_the_formula():
    rates = [learning_rate(Poly(power=0.9), 0.1, step, 10, 5) for step in range(10)]
    assert rates == pytest.approx([0.1 * (1 - step / 10) ** 0.9 for step in range(10)])


def test_the_exponent_doubles_from_an_epoch_on():
    schedule = Poly(power=1.0, double_from=110, per="epoch")
    assert at_epoch(schedule, 109) == pytest.approx(1 - 109 / 175)
    assert at_epoch(schedule, 110) == pytest.approx((1 - 110 / 175) ** 2)


def test_cosine_ends_at_its_final_share():
    assert learning_rate(Cosine(final=0.1), 2.0, 0, 100, 10) == pytest.approx(2.0)
    assert learning_rate(Cosine(final=0.1), 2.0, 100, 100, 10) == pytest.approx(0.2)
    assert learning_rate(Cosine(), 2.0, 50, 100, 10) == pytest.approx(1.0)
    assert learning_rate(Cosine(per="epoch"), 2.0, 59, 100, 10) == pytest.approx(1.0)


def test_steps_fall_every_so_many_epochs():
    rates = [learning_rate(Step(every=2, factor=0.5), 1.0, step, 12, 2) for step in range(12)]
    assert rates == [1.0] * 4 + [0.5] * 4 + [0.25] * 4


def test_a_restart_after_the_end_never_comes():
    schedule = RescaledPoly(restart=EPOCHS + 1)
    assert at_epoch(schedule, EPOCHS - 1) == pytest.approx(1 / EPOCHS)


shares = st.floats(0, 1)
per = st.sampled_from(["step", "epoch"])
schedules = st.one_of(
    st.builds(
        Poly, power=st.floats(0.5, 3), double_from=st.none() | st.integers(0, 20), warmup=shares, per=per
    ),
    st.builds(RescaledPoly, restart=st.integers(0, 20), rescale=shares, warmup=shares),
    st.builds(Cosine, final=shares, warmup=shares, per=per),
    st.builds(Step, every=st.integers(1, 5), factor=shares, warmup=shares),
)


@given(schedule=schedules, peak=st.floats(1e-6, 10), steps=st.integers(1, 60), per_epoch=st.integers(1, 15))
@settings(max_examples=50, deadline=None)
def test_rates_stay_between_zero_and_the_peak(schedule, peak, steps, per_epoch):
    rates = [learning_rate(schedule, peak, step, steps, per_epoch) for step in range(steps)]
    assert all(0 <= rate <= peak * (1 + 1e-12) for rate in rates)
    warmup = rates[: round(schedule.warmup * steps)]
    assert all(earlier < later for earlier, later in itertools.pairwise(warmup))
    assert all(0 < rate < peak for rate in warmup)


@given(
    schedule=st.one_of(st.builds(Poly, power=st.floats(0.5, 3), per=per), st.builds(Cosine, per=per)),
    warmup=st.floats(0, 0.9),
    steps=st.integers(1, 60),
    per_epoch=st.integers(1, 15),
)
@settings(max_examples=50, deadline=None)
def test_after_the_warmup_rates_fall_and_stay_above_zero(schedule, warmup, steps, per_epoch):
    schedule = type(schedule)(**vars(schedule) | {"warmup": warmup})
    rates = [learning_rate(schedule, 1.0, step, steps, per_epoch) for step in range(steps)]
    after = rates[round(warmup * steps) :]
    assert all(later <= earlier for earlier, later in itertools.pairwise(after))
    assert rates[-1] > 0


@pytest.mark.parametrize(
    "schedule", [Poly(warmup=0.2), Cosine(warmup=0.2), RescaledPoly(warmup=0.2, restart=9)]
)
def test_warmup_grows_linearly_to_the_peak(schedule):
    rates = [learning_rate(schedule, 1.0, step, 50, 50) for step in range(50)]
    assert rates[:11] == pytest.approx([(step + 1) / 11 for step in range(11)])
