"""Class-uniform sampling as published: places of classes, and an epoch drawn with the legacy generator of NumPy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadseg.data import ClassUniform, Record, Source, find_class_centers
from roadseg.data.class_centers import ClassCenters
from roadseg.data.epochs import class_uniform_order
from roadseg.labels import LabelMap, label_map, space

FILES = ("labels0.png", "trainids0.png", "labels1.png", "trainids1.png")


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden" / "centroids" / "centroids.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_places_of_classes(shared: Path, golden: dict[str, Any], name: str) -> None:
    folder = shared / "golden" / "centroids"
    known = golden[name]
    trained = space("cityscapes-19")
    stored = known["id2trainid"] == "cityscapes"
    source = Source(
        name="golden",
        root=folder,
        label_map=label_map("cityscapes", "cityscapes-19") if stored else LabelMap.by_name(trained, trained),
        splits=("train",),
        list_split=lambda _: [Record(folder / name, folder / name, "one")],
        looks_for="one label",
        license="",
    )
    found = find_class_centers(source, "train", tile=known["tile"], whole_tiles_only=True, cache=None)
    for channel in range(19):
        positions, xy = found.of(channel)
        assert xy.tolist() == known["centroids_xy"].get(str(channel), [])
        assert not positions.any()


def test_an_epoch_in_its_order(golden: dict[str, Any]) -> None:
    known = golden["build_epoch"]
    places = [0 if channel == 7 else 1 + channel % 7 for channel in range(known["num_classes"])]
    legacy = np.random.RandomState(known["np_random_seed"])
    order = class_uniform_order(100, places, known["class_uniform_pct"], legacy.permutation)
    names = [f"i{chosen}" if channel < 0 else f"i{chosen}/{channel}" for channel, chosen in order.tolist()]
    # What stands in for the class without places comes last; the published epoch is shorter by it.
    assert names[: known["length"]] == known["order"]
    assert len(names) == 100
    assert all("/" not in name for name in names[known["length"] :])


def test_an_epoch_of_cityscapes() -> None:
    size, classes, places = 2975, 19, 500
    rng = np.random.default_rng(0)
    centers = ClassCenters(
        images=size,
        pixels=np.full(classes, 1000),
        starts=np.arange(classes + 1) * places,
        positions=rng.integers(0, size, classes * places, dtype=np.int32),
        xy=rng.integers(0, 1024, (classes * places, 2), dtype=np.int32),
    )
    epoch = ClassUniform(size, centers, 0.5, seed=0).epoch(0)
    by_class = [center for _, center in epoch if center is not None]
    assert (len(epoch), len(by_class)) == (2975, 78 * 19)
    at_random = [position for position, center in epoch if center is None]
    assert len(set(at_random)) == len(at_random) == 1493
