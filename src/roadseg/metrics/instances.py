"""iIoU: intersection over union in which every object weighs the same, whatever its size.

Large objects dominate IoU: finding one truck makes up for a hundred missed pedestrians. The evaluation of Cityscapes
(Cordts et al., CVPR 2016, section 4.1 and its code) therefore weighs the pixels of each object by the average size of
its class over the object's own size. False positives belong to no object and stay as they are.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelMap
from roadseg.metrics.confusion import Confusion
from roadseg.metrics.iou import AbsentRule, intersection_over_union, mean_of_known

__all__ = ["CITYSCAPES_SIZES", "InstanceScores", "Instances"]

CITYSCAPES_SIZES: Mapping[str, float] = {
    "bicycle": 4672.3249222261,
    "caravan": 36771.8241758242,
    "motorcycle": 6298.7200839748,
    "rider": 3930.4788056518,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "car": 12794.0202738185,
    "person": 3462.4756337644,
    "truck": 27855.1264367816,
    "trailer": 16926.9763313609,
}
"""Average pixels of an object in Cityscapes, by class: the constants of its evaluation."""

PER_CLASS = (
    1000  # an object's id is 1000 times the id of its class plus a number; lower ids are single classes
)


@dataclass(frozen=True, eq=False)
class InstanceScores:
    """iIoU in 0..1.

    Attributes:
        iou: ``[C]`` per scored class; NaN where objects are not told apart.
        categories: Per group of classes whose objects are all told apart.
        miou: Mean over the classes.
        category_miou: Mean over the groups.
    """

    iou: NDArray[np.float64]
    categories: dict[str, float]
    miou: float
    category_miou: float


@dataclass(eq=False)
class Instances:
    """Pixels of objects, each weighted by the average size of its class over the object's size.

    Attributes:
        label_map: From the ids in files of objects (Cityscapes ``*_instanceIds.png``) to the ids of the predictions.
        evaluated: Names of the target classes that are scored; None for all.
        sizes: Average pixels of an object by the name of its *stored* class.
        counts: float64 ``[4, C]`` per target class: weighted pixels found and missed, and weighted pixels predicted as
            a class of the same group and not.
        images: Images counted.
    """

    label_map: LabelMap
    evaluated: Collection[str] | None = None
    sizes: Mapping[str, float] = field(default_factory=lambda: CITYSCAPES_SIZES)
    counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros((4, 0)))
    images: int = 0

    def __post_init__(self) -> None:
        target = self.label_map.target
        if self.counts.size == 0:
            self.counts = np.zeros((4, target.num_classes))
        groups = list(dict.fromkeys(item.group for item in target.classes))
        # Without a group: a number that no other class has.
        self._groups = np.array(
            [groups.index(c.group) if c.group else -1 - i for i, c in enumerate(target.classes)]
            + [len(groups)]
        )
        self._prediction = {number: channel for channel, number in enumerate(target.ids) if number >= 0}
        self._channels, self._sizes = self._stored_classes()

    @property
    def any_class(self) -> bool:
        """Whether the label spaces tell the objects of any scored class apart."""
        return bool((self._channels >= 0).any())

    def update(
        self, instances: NDArray[np.integer], prediction: NDArray[np.integer], where: str = ""
    ) -> None:
        """Add one image.

        Args:
            instances: ``[H, W]``; an object's pixels hold 1000 times the stored id of its class plus a number.
            prediction: ``[H, W]`` ids of the target space.
            where: Names the file of objects in errors.

        Raises:
            LabelError: The shapes differ, or an object is of no class of the stored space.
        """
        if instances.shape != prediction.shape:
            raise LabelError(
                f"objects of shape {instances.shape} and prediction of shape {prediction.shape} differ",
                where=where or None,
                remedy="the file of objects needs the size of the label file",
            )
        self.images += 1
        pixels = np.flatnonzero(instances > PER_CLASS)
        ids = instances.reshape(-1)[pixels].astype(np.int64)
        if not ids.size:
            return
        size = np.bincount(ids)
        objects = np.flatnonzero(size)
        kinds = objects // PER_CLASS
        known = {*self.label_map.source.ids}
        if unknown := sorted({int(kind) for kind in kinds} - known):
            raise LabelError(
                f"holds objects of class {unknown[0]}, which {self.label_map.source.name} does not have",
                where=where or None,
                remedy="an object's id is 1000 times the stored id of its class plus a number",
            )
        wanted = self._channels[ids // PER_CLASS]
        given = self._channels_of(prediction.reshape(-1)[pixels])
        found = np.bincount(ids[given == wanted], minlength=len(size))
        akin = np.bincount(ids[self._groups[given] == self._groups[wanted]], minlength=len(size))
        objects = objects[self._channels[kinds] >= 0]
        kinds = objects // PER_CLASS
        weights = self._sizes[kinds] / size[objects]
        parts = (found, size - found, akin, size - akin)
        for row, part in zip(self.counts, parts, strict=True):
            np.add.at(row, self._channels[kinds], part[objects] * weights)

    def scores(
        self,
        confusion: Confusion,
        classes: NDArray[np.int64],
        kept: NDArray[np.bool_],
        absent: AbsentRule = "left-out",
    ) -> InstanceScores:
        """Compute iIoU.

        Args:
            confusion: Pixel counts of the same images, which the false positives are taken from.
            classes: ``[K]`` scored channels.
            kept: ``[K]`` which of them the mean is over.
            absent: What a class without truth gets.
        """
        space = self.label_map.target
        told_apart = np.isin(classes, self._channels)
        rows = confusion.counts[classes]
        wrong = rows.sum(axis=0)[classes] - confusion.counts[classes, classes]
        found, missed = self.counts[:2, classes]
        iou = intersection_over_union(found, found + missed, found + wrong, absent)
        iou[~told_apart] = np.nan
        categories = {}
        for name in dict.fromkeys(item.group for item in space.classes if item.group):
            members = [i for i, c in enumerate(space.classes) if c.group == name and c.id >= 0]
            if not all(space.classes[i].has_instances for i in members):
                continue
            akin, strange = self.counts[2:, members].sum(axis=1)
            others = np.array([space.classes[channel].group != name for channel in classes])
            # As the reference: predictions of unscored classes of the group count, unlike in the group's IoU.
            made_up = rows[others][:, members].sum()
            value = intersection_over_union(akin, akin + strange, akin + made_up, absent)
            categories[name] = float(value)
        return InstanceScores(
            iou=iou,
            categories=categories,
            miou=float(mean_of_known(iou, kept)),
            category_miou=float(mean_of_known(np.array(list(categories.values()), np.float64))),
        )

    def __add__(self, other: "Instances") -> "Instances":
        if self.label_map != other.label_map:
            raise LabelError("cannot add counts of objects in different label spaces")
        return Instances(
            self.label_map, self.evaluated, self.sizes, self.counts + other.counts, self.images + other.images
        )

    def _stored_classes(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return target channel (-1: not scored) and average size by stored class id."""
        source, target = self.label_map.source, self.label_map.target
        channels = np.full(max(source.ids) + 1, -1, np.int64)
        sizes = np.zeros(len(channels))
        where = dict(self.label_map.table)
        for item in source.classes:
            channel = self._prediction.get(where[item.id], -1)
            if item.id < 0 or channel < 0 or where[item.id] == target.ignore:
                continue
            scored = self.evaluated is None or target.names[channel] in self.evaluated
            if scored and target.classes[channel].has_instances and item.name in self.sizes:
                channels[item.id], sizes[item.id] = channel, self.sizes[item.name]
        return channels, sizes

    def _channels_of(self, ids: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return channels of predicted ids; C for what is no class."""
        number = self.label_map.target.num_classes
        table = np.full(max(int(ids.max()), *self._prediction) + 1, number, np.int64)
        for class_id, channel in self._prediction.items():
            table[class_id] = channel
        channels: NDArray[np.int64] = table[ids]
        return channels
