import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Draw, EpochPlan, Shuffled, StepSampler, mix_seed
from roadseg.data.epochs import Place


def draws(size: int, steps: range, **options: object) -> list[list[Draw]]:
    batch_size = options.pop("batch_size", 4)
    return list(StepSampler(Shuffled(size, 3), batch_size=batch_size, seed=3, steps=steps, **options))


class Counting:
    """An epoch's samples in order, cut around (epoch, position), which counts how often it is asked."""

    def __init__(self, size: int) -> None:
        self.images = size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.images

    def epoch(self, number: int) -> list[Place]:
        self.asked.append(number)
        return [(position, (number, position)) for position in range(self.images)]


def test_an_epoch_draws_every_sample_at_most_once():
    batches = draws(22, range(StepSampler.steps_per_epoch(22, 4)))
    indices = [draw.position for batch in batches for draw in batch]
    assert len(batches) == 5
    assert len(set(indices)) == len(indices) == 20
    assert set(indices) <= set(range(22))


def test_epochs_differ_and_are_reproducible():
    first, second = draws(8, range(2)), draws(8, range(2, 4))
    assert first != second
    assert first == draws(8, range(2))


def test_the_samples_of_published_runs_stay_what_they_are():
    sampler = StepSampler(Shuffled(7, 5), batch_size=3, seed=5, steps=range(3), mixed=(4, 0.34, 2))
    assert [[(draw.position, draw.seed) for draw in batch] for batch in sampler] == [
        [(4, 878497324561839631), (7, 3429806172631537692), (0, 8635585143257944828)],
        [(2, 8754130912970255357), (9, 7182588613352712765), (5, 3351571457196047550)],
        [(0, 2752921987667947992), (4, 4633602515251912977), (2, 3028091846395396946)],
    ]


@given(
    size=st.integers(1, 40),
    micro=st.integers(1, 3),
    world=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    start=st.integers(0, 12),
    mixed=st.sampled_from([None, (5, 0.25, 8), (5, 0.07, 8)]),
)
@settings(max_examples=40, deadline=None)
def test_processes_parts_and_interruptions_change_nothing(size, micro, world, accumulate, start, mixed):
    batch_size = micro * world * accumulate
    alone = draws(size, range(14), batch_size=batch_size, mixed=mixed)[start:]
    shares = [
        draws(
            size,
            range(start, 14),
            batch_size=batch_size,
            rank=rank,
            world=world,
            accumulate=accumulate,
            mixed=mixed,
        )
        for rank in range(world)
    ]
    together = [
        [
            draw
            for share in shares
            for part in share[step * accumulate : (step + 1) * accumulate]
            for draw in part
        ]
        for step in range(14 - start)
    ]
    assert together == alone


@given(size=st.integers(1, 30), batch_size=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_every_image_comes_equally_often(size, batch_size):
    plan: EpochPlan = Shuffled(size, 0)
    for number in range(4):
        assert sorted(position for position, _ in plan.epoch(number)) == list(range(size))
    steps = StepSampler.steps_per_epoch(size, batch_size)
    sampler = StepSampler(plan, batch_size=batch_size, seed=0, steps=range(3 * steps))
    drawn = [draw.position for batch in sampler for draw in batch]
    if size % batch_size == 0:
        assert all(drawn.count(position) == 3 for position in range(size))
    assert max(map(drawn.count, range(size))) <= -(-len(drawn) // size) + 3


def test_a_data_set_smaller_than_a_batch_is_repeated():
    batches = draws(3, range(2), batch_size=8)
    assert all(len(batch) == 8 for batch in batches)
    assert {draw.position for batch in batches for draw in batch} == {0, 1, 2}


def test_places_reach_the_draws_and_an_epoch_is_computed_once():
    plan = Counting(11)
    sampler = StepSampler(plan, batch_size=4, seed=0, steps=range(1, 6))
    assert [[draw.center for draw in batch] for batch in sampler] == [
        [(step // 2, (step % 2) * 4 + i) for i in range(4)] for step in range(1, 6)
    ]
    assert plan.asked == [0, 1, 2]


def test_every_draw_has_its_own_seed():
    seeds = [draw.seed for batch in draws(8, range(50)) for draw in batch]
    assert len(set(seeds)) == len(seeds)


def test_mixed_batches_hold_the_share_until_the_given_step():
    batches = draws(20, range(6), batch_size=8, mixed=(5, 0.25, 4))
    rendered = [sum(draw.position >= 20 for draw in batch) for batch in batches]
    assert rendered == [2, 2, 2, 2, 0, 0]
    assert all(draw.position < 25 for batch in batches for draw in batch)
    assert all(draw.center is None for batch in batches for draw in batch)


@pytest.mark.parametrize(("batch_size", "share"), [(8, 0.05), (2, 0.1), (8, 0.3), (4, 1.0), (4, 0.0)])
def test_a_share_that_is_no_whole_number_per_batch_holds_in_the_end(batch_size, share):
    batches = draws(20, range(100), batch_size=batch_size, mixed=(5, share, 80))
    mixed = [[draw.position for draw in batch if draw.position >= 20] for batch in batches]
    per_batch = batch_size * share
    assert {len(batch) for batch in mixed[:80]} <= {math.floor(per_batch), math.ceil(per_batch)}
    drawn = [position for batch in mixed for position in batch]
    assert len(drawn) == round(80 * per_batch)
    assert len(set(drawn[:4])) == len(drawn[:4])  # each batch goes on where the one before stopped


def test_indivisible_batches_are_refused():
    with pytest.raises(ValueError, match="not divisible"):
        draws(8, range(1), batch_size=6, world=4)


def test_mix_seed_depends_on_every_part():
    seeds = {mix_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)
