"""Which images make up an epoch, and around which of their places they are cut.

A plan is a pure function of its arguments and the number of the epoch; `roadseg.data.sampling` cuts epochs into steps.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from roadseg.data.class_centers import ClassCenters

__all__ = [
    "Balanced",
    "ClassUniform",
    "EpochPlan",
    "Place",
    "RareClass",
    "Shuffled",
    "class_uniform_order",
    "mix_seed",
]

Place = tuple[int, tuple[int, int] | None]
"""The position of an image in the data set, and the (x, y) that its crop must show, or None for chance."""

Shuffle = Callable[[int], NDArray[np.int64]]
"""Returns one random order of 0..n-1 after the other."""

# Plans that draw the same number of images under the same seed must not share their random numbers.
CLASS_UNIFORM, RARE_CLASS, BALANCED = 2, 3, 4


class EpochPlan(Protocol):
    """What a sampler needs to know."""

    @property
    def images(self) -> int:
        """How many images the positions count: what is mixed in afterwards follows these."""

    def __len__(self) -> int:
        """Return the samples in an epoch, the same in all of them."""

    def epoch(self, number: int) -> Sequence[Place]:
        """Return the samples of an epoch, in order."""


def mix_seed(*parts: int) -> int:
    """Return a 63-bit seed that depends on every part; neighboring parts give unrelated seeds."""
    digest = hashlib.blake2b(",".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Shuffled:
    """Every image once per epoch, in random order.

    Args:
        size: Images in the data set.
        seed: Seed of the run.
        stream: Tells plans of the same size and seed apart.

    Raises:
        ValueError: There is no image.
    """

    def __init__(self, size: int, seed: int, stream: int = 0) -> None:
        if size < 1:
            raise ValueError("a data set needs at least one sample")
        self.images = size
        self.seed = seed
        self.stream = stream

    def __len__(self) -> int:
        return self.images

    def epoch(self, number: int) -> list[Place]:
        """Return the samples of an epoch, in order."""
        order = _shuffle(_generator(self.seed, number, self.stream, self.images))(self.images)
        return [(position, None) for position in order.tolist()]


class ClassUniform:
    """Part of every epoch is cut around places where each class occurs, equally often for all classes.

    Zhu et al., CVPR 2019, section 3.4. Of an epoch of N samples and C classes, every class gets ``int(N * share / C)``:
    its places in random order, from the start again where there are fewer. The rest are random images, without
    repetition as long as there are enough; so is the part of a class that has no place. The order of an epoch is random.

    Args:
        size: Images that random ones are taken from, and samples per epoch.
        centers: Places of the classes; those that follow the first ``size`` images are drawn by class only.
        share: Part of the epoch that is drawn by class, 0..1.
        seed: Seed of the run.
        until: Epoch from which all images are drawn at random; None for never.

    Raises:
        ValueError: The share is no part, or the places are of fewer images than there are.
    """

    def __init__(
        self, size: int, centers: ClassCenters, share: float, seed: int, until: int | None = None
    ) -> None:
        _check_share(share)
        if centers.images < size:
            raise ValueError(f"the places are of {centers.images} images, not of {size}")
        self.images = centers.images
        self.centers = centers
        self.share = share
        self.seed = seed
        self.until = until
        self.random = Shuffled(size, seed)

    def __len__(self) -> int:
        return len(self.random)

    def epoch(self, number: int) -> list[Place]:
        """Return the samples of an epoch, in order."""
        if self.until is not None and number >= self.until:
            return self.random.epoch(number)
        shuffle = _shuffle(_generator(self.seed, number, CLASS_UNIFORM, len(self)))
        order = class_uniform_order(len(self), self.centers.counts.tolist(), self.share, shuffle)
        channels, chosen = order[shuffle(len(self))].T
        by_class = channels >= 0
        rows = np.where(by_class, self.centers.starts[channels] + chosen, -1)
        positions = chosen.copy()
        positions[by_class] = self.centers.positions[rows[by_class]]
        return _places(positions, rows, self.centers)


def class_uniform_order(
    size: int, places: Sequence[int], share: float, shuffle: Shuffle
) -> NDArray[np.int64]:
    """Return the samples of a class-uniform epoch before they are shuffled.

    Args:
        size: Images, and samples of the epoch.
        places: How many places each class has.
        share: Part of the epoch that is drawn by class.
        shuffle: Gives random orders; it is asked for one of all images, then for one of each class that has a place.

    Returns:
        ``[size, 2]``: (channel, index among its places), or (-1, position) for a random image. In order: the random
        images, each class's places, and the images that stand in for classes without a place. The published code
        leaves these last ones out.
    """
    quota = int(size * share / len(places))
    absent = sum(not count for count in places)
    at_random = size - quota * len(places)
    images = np.resize(shuffle(size), at_random + quota * absent)
    drawn = [(channel, np.resize(shuffle(count), quota)) for channel, count in enumerate(places) if count]
    groups = [(-1, images[:at_random]), *drawn, (-1, images[at_random:])]
    return np.concatenate(
        [np.stack([np.full_like(chosen, channel), chosen], 1) for channel, chosen in groups]
    )


class RareClass:
    """Every image once per epoch; part of them are cut around a class that they hold, a rare one more likely.

    The images to be cut so are chosen at random. In each, a class that it holds is chosen with probability in proportion
    to ``share_of_its_pixels ** -power``, and then one of its places there.

    Args:
        size: Images in the data set.
        centers: Places of the classes in them, and their pixels.
        share: Part of the samples that are cut around a class, 0..1.
        power: How strongly rare classes are preferred; 0 not at all.
        seed: Seed of the run.

    Raises:
        ValueError: The share is no part, or the places are of another number of images.
    """

    def __init__(self, size: int, centers: ClassCenters, share: float, power: float, seed: int) -> None:
        _check_share(share)
        if centers.images != size:
            raise ValueError(f"the places are of {centers.images} images, not of {size}")
        self.images = size
        self.centers = centers
        self.share = share
        self.seed = seed
        self._rows = np.argsort(centers.positions, kind="stable")  # the places, image by image
        self._owners = centers.positions[self._rows]
        self._weights = _place_weights(centers, power)[self._rows]
        self._holders, self._starts = np.unique(self._owners, return_index=True)

    def __len__(self) -> int:
        return self.images

    def epoch(self, number: int) -> list[Place]:
        """Return the samples of an epoch, in order."""
        generator = _generator(self.seed, number, RARE_CLASS, self.images)
        shuffle = _shuffle(generator)
        rows = np.full(self.images, -1)
        if len(self._holders):
            count = min(round(self.share * self.images), len(self._holders))
            chosen = shuffle(len(self._holders))[:count]
            rows[self._holders[chosen]] = self._one_place_each(generator)[chosen]
        positions = shuffle(self.images)
        return _places(positions, rows[positions], self.centers)

    def _one_place_each(self, generator: torch.Generator) -> NDArray[np.int64]:
        """Return a place of every image that has any, each with probability in proportion to its weight.

        Of exponential waiting times with the weights as rates, the shortest is that of i with probability
        ``weight_i / sum``: one race per image.
        """
        times = torch.empty(len(self._rows), dtype=torch.float64).exponential_(generator=generator).numpy()
        times /= self._weights
        first = np.minimum.reduceat(times, self._starts)
        winners = np.flatnonzero(times == first[np.searchsorted(self._holders, self._owners)])
        _, unique = np.unique(self._owners[winners], return_index=True)
        return self._rows[winners[unique]]


class Balanced:
    """Every batch holds images of each data set, whatever their sizes (Lambert et al., MSeg, section 4.2).

    Of a batch of B, a data set with share w gets ``B * w`` samples, rounded down or up so that its share of the whole
    run is w. Every data set is passed through in random order, from one epoch on into the next. In the batch, the data
    sets are mixed evenly, so that parts of it hold nearly equal shares.

    Args:
        sizes: Images in each data set; positions count through all of them.
        batch_size: Samples per step; an epoch is a whole number of batches.
        seed: Seed of the run.
        weights: Share of each data set, in proportion to their sum; empty for equal shares.
        epoch: What an epoch is as long as: the turn of the ``largest`` data set at its share, or the ``total`` of all
            images.

    Raises:
        ValueError: A data set is empty, or the weights do not fit.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        weights: Sequence[float] = (),
        epoch: Literal["largest", "total"] = "total",
    ) -> None:
        if not sizes or min(sizes) < 1:
            raise ValueError("every data set needs at least one sample")
        shares = np.array(weights or [1.0] * len(sizes), np.float64)
        if len(shares) != len(sizes) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
            raise ValueError(f"{len(sizes)} data sets need as many weights, not below zero and not all zero")
        shares /= shares.sum()
        self.images = sum(sizes)
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.seed = seed
        largest = max((size, share) for size, share in zip(sizes, shares.tolist(), strict=True) if share)
        length = self.images if epoch == "total" else round(largest[0] / largest[1])
        self.steps = max(1, length // batch_size)
        self._starts = np.cumsum([0, *sizes[:-1]])
        # Rounded, because 7 * (1/7 + 1/7) must not lie above 2.
        self._edges = np.round(np.cumsum([0.0, *shares]) * batch_size, 9)
        self._edges[-1] = batch_size

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def epoch(self, number: int) -> list[Place]:
        """Return the samples of an epoch, in order."""
        counts = self._counts(number)
        earlier = sum((self._counts(other).sum(0) for other in range(number)), np.zeros(len(self.sizes), int))
        positions, places = [], []
        for member, count in enumerate(counts.T):
            step = np.repeat(np.arange(self.steps), count)
            drawn = self._cycle(member, int(earlier[member]), len(step))
            positions.append(self._starts[member] + drawn)
            # The i-th of n samples of a data set belongs at the fraction (i + 1/2) / n of its batch.
            i = np.arange(len(step)) - np.repeat(np.cumsum(count) - count, count)
            places.append(step + (i + 0.5) / np.repeat(count, count))
        order = np.argsort(np.concatenate(places), kind="stable")
        return [(position, None) for position in np.concatenate(positions)[order].tolist()]

    def _counts(self, number: int) -> NDArray[np.int64]:
        """Return ``[steps, D]``: how many samples each data set gives to each batch of an epoch.

        A data set owns the part ``[edge, next edge)`` of a line as long as the batch. Marks one apart, shifted by another
        fraction in every step, fall into a part of length L as often as L rounded down or up, and L times on average,
        because the multiples of an irrational number are spread evenly over the fractions.
        """
        golden = (5**0.5 - 1) / 2
        steps = np.arange(number * self.steps, (number + 1) * self.steps)
        upto = np.ceil(self._edges - (steps * golden % 1)[:, None])
        counts: NDArray[np.int64] = np.diff(np.maximum(upto, 0).astype(np.int64), axis=1)
        return counts

    def _cycle(self, member: int, first: int, count: int) -> NDArray[np.int64]:
        """Return ``count`` images of a data set from the ``first`` draw on, through one order after the other."""
        size = self.sizes[member]
        turns = range(first // size, -(-(first + count) // size))
        orders = [_shuffle(_generator(self.seed, turn, BALANCED, size, member))(size) for turn in turns]
        skipped = first % size
        drawn: NDArray[np.int64] = np.concatenate([*orders, np.empty(0, np.int64)])
        return drawn[skipped : skipped + count]


def _generator(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(mix_seed(*parts))


def _shuffle(generator: torch.Generator) -> Shuffle:
    def shuffle(size: int) -> NDArray[np.int64]:
        order: NDArray[np.int64] = torch.randperm(size, generator=generator).numpy()
        return order

    return shuffle


def _place_weights(centers: ClassCenters, power: float) -> NDArray[np.float64]:
    """Return ``[N]``: the weight of each place's class, divided among the places that it has in the image."""
    channels = np.repeat(np.arange(len(centers.counts)), centers.counts)
    shares = centers.pixels / max(1, int(centers.pixels.sum()))
    _, pair, places = np.unique(
        centers.positions.astype(np.int64) * len(centers.counts) + channels,
        return_inverse=True,
        return_counts=True,
    )
    weights: NDArray[np.float64] = shares[channels] ** -power / places[pair]
    return weights


def _places(positions: NDArray[np.int64], rows: NDArray[np.int64], centers: ClassCenters) -> list[Place]:
    """Return the samples of these images, cut around these places; -1 is none."""
    if not len(centers.xy):
        return [(position, None) for position in positions.tolist()]
    points = centers.xy[rows].tolist()
    return [
        (position, (x, y) if row >= 0 else None)
        for position, row, (x, y) in zip(positions.tolist(), rows.tolist(), points, strict=True)
    ]


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies in 0..1, not {share}")
