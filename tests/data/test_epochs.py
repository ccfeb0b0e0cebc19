import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Balanced, ClassUniform, RareClass, Shuffled, StepSampler
from roadseg.data.class_centers import ClassCenters


def centers_of(images: int, places: dict[int, list[int]], pixels: list[int]) -> ClassCenters:
    """Places by channel, as positions of their images; the x of a place is its channel, y the image."""
    rows = [(channel, position) for channel in sorted(places) for position in places[channel]]
    counts = [len(places.get(channel, [])) for channel in range(len(pixels))]
    return ClassCenters(
        images=images,
        pixels=np.array(pixels),
        starts=np.cumsum([0, *counts]),
        positions=np.array([position for _, position in rows], np.int32),
        xy=np.array(rows, np.int32).reshape(-1, 2),
    )


def batches_of(plan: Balanced, number: int) -> list[list[int]]:
    positions = [position for position, _ in plan.epoch(number)]
    return [positions[start : start + plan.batch_size] for start in range(0, len(positions), plan.batch_size)]


class TestShuffled:
    def test_an_epoch_is_the_same_whenever_it_is_asked_for(self):
        plan = Shuffled(9, 1)
        later = plan.epoch(5)
        assert plan.epoch(0) != later
        assert Shuffled(9, 1).epoch(5) == later
        assert Shuffled(9, 2).epoch(5) != later
        assert Shuffled(9, 1, stream=1).epoch(5) != later

    def test_no_images_are_refused(self):
        with pytest.raises(ValueError, match="at least one"):
            Shuffled(0, 1)


class TestClassUniform:
    PLACES = centers_of(40, {0: [0, 1, 2, 3, 4], 1: [5], 3: [6, 7, 8]}, [50, 10, 0, 30])

    def test_every_class_gets_the_same_number_and_absent_ones_none(self):
        plan = ClassUniform(40, self.PLACES, 0.5, seed=0)
        for number in range(3):
            epoch = plan.epoch(number)
            assert len(epoch) == len(plan) == 40
            drawn = [(position, center) for position, center in epoch if center is not None]
            assert Counter(center[0] for _, center in drawn) == {0: 5, 1: 5, 3: 5}
            assert all(position == center[1] for position, center in drawn)
            # Five places of five: each once; five of three: none more than twice.
            assert {position for position, center in drawn if center[0] == 0} == set(range(5))
            assert max(Counter(position for position, center in drawn if center[0] == 3).values()) == 2
            at_random = [position for position, center in epoch if center is None]
            assert len(set(at_random)) == len(at_random) == 25

    def test_the_order_does_not_group_classes(self):
        kinds = [center is None for _, center in ClassUniform(40, self.PLACES, 0.5, seed=0).epoch(0)]
        assert sum(one != other for one, other in itertools.pairwise(kinds)) > 8

    def test_an_epoch_is_the_same_whenever_it_is_asked_for(self):
        epochs = [
            ClassUniform(40, self.PLACES, 0.5, seed=seed).epoch(number)
            for seed, number in ((0, 0), (0, 1), (1, 0))
        ]
        assert len({tuple(epoch) for epoch in epochs}) == 3
        assert ClassUniform(40, self.PLACES, 0.5, seed=0).epoch(1) == epochs[1]

    def test_all_is_random_from_an_epoch_on(self):
        plan = ClassUniform(40, self.PLACES, 0.5, seed=0, until=2)
        assert any(center for _, center in plan.epoch(1))
        assert plan.epoch(2) == Shuffled(40, 0).epoch(2)

    def test_no_class_has_a_place(self):
        plan = ClassUniform(6, centers_of(6, {}, [0, 0]), 1.0, seed=0)
        assert sorted(plan.epoch(0)) == [(position, None) for position in range(6)]

    def test_boosted_classes_are_also_looked_for_in_other_images(self):
        coarse = centers_of(100, {0: list(range(50)), 1: list(range(50, 100))}, [7, 8, 0, 0])
        boosted = self.PLACES.followed_by(coarse, [1])
        assert boosted.images == 140
        assert boosted.counts.tolist() == [5, 51, 0, 3]
        assert boosted.pixels.tolist() == [50, 18, 0, 30]
        plan = ClassUniform(40, boosted, 1.0, seed=0)
        assert (len(plan), plan.images) == (40, 140)
        for position, center in plan.epoch(0):
            assert position < 40 or center[0] == 1
        assert sum(position >= 40 for position, _ in plan.epoch(0)) >= 9

    def test_places_of_all_classes_can_follow(self):
        both = self.PLACES.followed_by(centers_of(3, {2: [1, 2]}, [0, 0, 9, 0]))
        assert both.counts.tolist() == [5, 1, 2, 3]
        assert both.of(2)[0].tolist() == [41, 42]
        assert both.of(3)[0].tolist() == [6, 7, 8]

    @given(
        size=st.integers(1, 30),
        places=st.lists(st.integers(0, 6), min_size=1, max_size=6),
        share=st.floats(0, 1),
    )
    @settings(max_examples=40, deadline=None)
    def test_any_data_set_gives_epochs_of_its_length(self, size, places, share):
        where = {channel: [i % size for i in range(count)] for channel, count in enumerate(places)}
        plan = ClassUniform(size, centers_of(size, where, [1] * len(places)), share, seed=0)
        epoch = plan.epoch(0)
        quota = int(size * share / len(places))
        assert len(epoch) == size
        counts = Counter(center[0] for _, center in epoch if center is not None)
        assert counts == {channel: quota for channel, count in enumerate(places) if count and quota}

    @pytest.mark.parametrize(("size", "share"), [(41, 0.5), (40, 1.5), (40, -0.1)])
    def test_what_does_not_fit_is_refused(self, size, share):
        with pytest.raises(ValueError, match=r"0\.\.1|images"):
            ClassUniform(size, self.PLACES, share, seed=0)


class TestRareClass:
    def test_every_image_once_and_the_rare_class_before_the_common_one(self):
        centers = centers_of(1000, {0: list(range(1000)) * 3, 1: list(range(0, 1000, 2))}, [9900, 100])
        plan = RareClass(1000, centers, 0.5, 0.5, seed=0)
        epoch = plan.epoch(3)
        assert sorted(position for position, _ in epoch) == list(range(1000))
        assert len(plan) == 1000
        cut = [(position, center) for position, center in epoch if center is not None]
        assert len(cut) == 500
        assert all(center[1] == position for position, center in cut)
        holders = [center[0] for position, center in cut if position % 2 == 0]
        # sqrt(0.99 / 0.01) is 9.95: of eleven images with both classes, ten show the rare one, however many places
        # the common one has.
        assert np.mean(holders) == pytest.approx(9.95 / 10.95, abs=0.05)
        assert plan.epoch(3) == epoch != plan.epoch(4)

    def test_without_preference_classes_are_equally_likely(self):
        centers = centers_of(1000, {0: list(range(1000)), 1: list(range(1000)) * 5}, [9900, 100])
        epoch = RareClass(1000, centers, 1.0, 0.0, seed=0).epoch(0)
        assert np.mean([center[0] for _, center in epoch]) == pytest.approx(0.5, abs=0.06)

    def test_images_without_any_place_are_left_to_chance(self):
        epoch = RareClass(5, centers_of(5, {1: [2]}, [0, 4]), 1.0, 0.5, seed=0).epoch(0)
        assert {position: center for position, center in epoch if center} == {2: (1, 2)}
        assert RareClass(5, centers_of(5, {}, [0, 0]), 1.0, 0.5, seed=0).epoch(0)

    def test_places_of_other_images_are_refused(self):
        with pytest.raises(ValueError, match="5 images, not of 6"):
            RareClass(6, centers_of(5, {}, [0]), 0.5, 0.5, seed=0)


class TestBalanced:
    @given(
        sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
        batch_size=st.integers(1, 12),
        weighted=st.booleans(),
        epoch=st.sampled_from(["largest", "total"]),
    )
    @settings(max_examples=50, deadline=None)
    def test_batches_hold_the_shares_rounded(self, sizes, batch_size, weighted, epoch):
        weights = [float(1 + i) for i in range(len(sizes))] if weighted else []
        plan = Balanced(sizes, batch_size=batch_size, seed=0, weights=weights, epoch=epoch)
        shares = np.array(weights or [1] * len(sizes)) / (sum(weights) or len(sizes))
        starts = np.cumsum([0, *sizes])
        totals, batches = np.zeros(len(sizes)), 0
        for number in range(6):
            found = batches_of(plan, number)
            assert len(found) * batch_size == len(plan) == len(plan.epoch(number))
            for batch in found:
                counts = np.histogram(batch, starts - 0.5)[0]
                assert (np.abs(counts - shares * batch_size) < 1).all()
                totals += counts
                batches += 1
        assert (np.abs(totals - shares * batch_size * batches) < 1 + np.log2(batches + 1)).all()

    def test_every_data_set_is_passed_through_before_it_starts_again(self):
        plan = Balanced([5, 50], batch_size=4, seed=0)
        positions = [position for number in range(8) for position, _ in plan.epoch(number)]
        small = [position for position in positions if position < 5]
        large = [position for position in positions if position >= 5]
        assert len(small) == len(large)
        for members, size in ((small, 5), (large, 50)):
            turns = [members[start : start + size] for start in range(0, len(members) - size + 1, size)]
            assert all(len(set(turn)) == size for turn in turns)
        assert large[:50] != large[50:100]

    @pytest.mark.parametrize(
        ("epoch", "weights", "length"),
        [("total", (), 108), ("largest", (), 200), ("largest", (1, 3), 132), ("largest", (1, 0), 8)],
    )
    def test_what_an_epoch_is_as_long_as(self, epoch, weights, length):
        assert len(Balanced([10, 100], batch_size=4, seed=0, weights=weights, epoch=epoch)) == length

    def test_ranks_get_nearly_equal_shares_of_each(self):
        plan = Balanced([10, 100], batch_size=8, seed=0)
        for rank in range(2):
            sampler = StepSampler(plan, batch_size=8, seed=0, steps=range(9), rank=rank, world=2)
            assert all(sum(draw.position < 10 for draw in batch) == 2 for batch in sampler)

    def test_a_data_set_of_weight_zero_is_left_out(self):
        plan = Balanced([3, 4], batch_size=3, seed=0, weights=[1, 0])
        assert all(position < 3 for position, _ in plan.epoch(2))

    @pytest.mark.parametrize(
        ("sizes", "weights"),
        [
            ([], []),
            ([1, 0], []),
            ([1, 2], [1]),
            ([1, 2], [1, -1]),
            ([1, 2], [0, 0]),
            ([1, 2], [1, float("nan")]),
        ],
    )
    def test_what_does_not_fit_is_refused(self, sizes, weights):
        with pytest.raises(ValueError, match="data set"):
            Balanced(sizes, batch_size=2, seed=0, weights=weights)
