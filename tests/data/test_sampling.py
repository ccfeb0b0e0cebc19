import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Draw, StepSampler, mix_seed


def draws(size: int, steps: range, **options: object) -> list[list[Draw]]:
    return list(StepSampler(size, batch_size=options.pop("batch_size", 4), seed=3, steps=steps, **options))


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


@given(start=st.integers(0, 12))
@settings(max_examples=13, deadline=None)
def test_starting_in_the_middle_continues_the_same_sequence(start):
    assert draws(10, range(start, 14)) == draws(10, range(14))[start:]


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_processes_and_parts_together_draw_what_one_process_draws(world, accumulate):
    alone = [draw for batch in draws(11, range(6)) for draw in batch]
    shares = [draws(11, range(6), rank=rank, world=world, accumulate=accumulate) for rank in range(world)]
    together = [
        draw
        for step in range(6)
        for rank in range(world)
        for part in range(accumulate)
        for draw in shares[rank][step * accumulate + part]
    ]
    assert together == alone


def test_a_data_set_smaller_than_a_batch_is_repeated():
    batches = draws(3, range(2), batch_size=8)
    assert all(len(batch) == 8 for batch in batches)
    assert {draw.position for batch in batches for draw in batch} == {0, 1, 2}


def test_every_draw_has_its_own_seed():
    seeds = [draw.seed for batch in draws(8, range(50)) for draw in batch]
    assert len(set(seeds)) == len(seeds)


def test_mixed_batches_hold_the_share_until_the_given_step():
    batches = draws(20, range(6), batch_size=8, mixed=(5, 0.25, 4))
    rendered = [sum(draw.position >= 20 for draw in batch) for batch in batches]
    assert rendered == [2, 2, 2, 2, 0, 0]
    assert all(draw.position < 25 for batch in batches for draw in batch)


def test_indivisible_batches_are_refused():
    with pytest.raises(ValueError, match="not divisible"):
        StepSampler(8, batch_size=6, seed=0, steps=range(1), world=4)


def test_mix_seed_depends_on_every_part():
    seeds = {mix_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)
