import dataclasses
import functools
import operator

import numpy as np
import pytest
import torch

from roadseg.data import open_source
from roadseg.errors import DataError, LabelError
from roadseg.inference import Predictor, WeightsCard, evaluate, protocol_of
from roadseg.inference.examination import examine
from roadseg.labels import label_map, space
from roadseg.media import read_mask
from roadseg.metrics import Protocol, Scores
from roadseg.metrics.calibration import pick_pixels
from roadseg.recipes import Preprocess
from tests.fakes import NAMES, fake_camvid, fake_cityscapes, picture, save, stripes, write_yaml
from tests.tiny import tiny

SIZE = (24, 32)
CITY = space("cityscapes-19")
EVERYTHING = ("boundary", "trimap", "calibration")


def network(label_space, seed=0):
    torch.manual_seed(seed)
    card = WeightsCard(model="tiny", space=label_space, preprocess=Preprocess())
    return Predictor(tiny(label_space.num_classes), card, device="cpu")


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    """Frames with files of objects, in val alone."""
    root = fake_cityscapes(tmp_path_factory.mktemp("cityscapes"), size=SIZE)
    for label in root.glob("gtFine/val/*/*_labelIds.png"):
        ids = read_mask(label).astype(np.uint16)
        save(
            label.with_name(label.name.replace("labelIds", "instanceIds")),
            np.where(ids >= 24, ids * 1000 + 1, ids),
        )
    return open_source(root)


@pytest.fixture(scope="module")
def findings(cityscapes):
    return examine(network(CITY), cityscapes, "val", aspects=EVERYTHING)


def test_counts_are_those_of_the_plain_evaluation(cityscapes, findings):
    plain = evaluate(network(CITY), cityscapes, "val")
    assert np.array_equal(plain.counts, findings.confusion.counts)
    assert plain.images == findings.confusion.images == len(findings.images) == 3


def test_images_add_up_to_the_data_set(findings):
    total = findings.counts.counts.sum(axis=0)
    scores = Scores.from_confusion(findings.confusion)
    np.testing.assert_allclose(findings.counts.iou(total, Protocol()), scores.iou)


def test_every_image_has_its_paths(cityscapes, findings):
    records = cityscapes.find("val")
    rows = findings.table(Protocol())
    assert [row["key"] for row in rows] == [record.key for record in records]
    assert [row["image"] for row in rows] == [str(record.image) for record in records]
    assert [row["label"] for row in rows] == [str(record.label) for record in records]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_shares_of_processes_add_up(cityscapes, findings, world):
    """No image twice and none left out, also where some processes have none."""
    parts = [
        examine(network(CITY), cityscapes, "val", aspects=EVERYTHING, rank=rank, world=world)
        for rank in range(world)
    ]
    total = functools.reduce(operator.add, parts)
    assert np.array_equal(total.confusion.counts, findings.confusion.counts)
    assert total.table(Protocol()) == findings.table(Protocol())
    assert np.array_equal(total.counts.counts, findings.counts.counts)
    np.testing.assert_allclose(total.instances.counts, findings.instances.counts)
    assert np.array_equal(total.boundary.counts, findings.boundary.counts)
    assert np.array_equal(total.trimap.counts, findings.trimap.counts)
    np.testing.assert_allclose(total.calibration.reliability, findings.calibration.reliability, rtol=1e-9)


def test_objects_are_counted_where_every_image_has_a_file_of_them(cityscapes, findings):
    assert findings.instances.images == 3
    assert Scores.from_confusion(findings.confusion, instances=findings.instances).instances.miou > 0
    assert examine(network(CITY), cityscapes, "train").instances is None


def test_objects_are_not_counted_in_a_space_that_does_not_tell_them_apart(cityscapes):
    moved = dataclasses.replace(
        cityscapes, label_map=cityscapes.label_map.then(label_map(cityscapes.target, "camvid-11"))
    )
    assert examine(network(CITY), moved, "val").instances is None


def test_a_file_of_objects_of_another_size_is_refused(tmp_path):
    root = fake_cityscapes(tmp_path, size=SIZE)
    for label in root.glob("gtFine/val/*/*_labelIds.png"):
        save(label.with_name(label.name.replace("labelIds", "instanceIds")), np.zeros((12, 16), np.uint16))
    with pytest.raises(DataError, match=r"_instanceIds\.png: is 16x12 but its label is 32x24"):
        examine(network(CITY), open_source(root), "val")


def test_a_label_of_another_size_than_its_image_is_refused(tmp_path):
    root = fake_camvid(tmp_path, size=SIZE)
    label = sorted((root / "testannot").iterdir())[0]
    save(label, stripes([0, 1], (12, 16)))
    with pytest.raises(DataError, match=rf"{label.name}: is 16x12 but its image .* is 32x24"):
        examine(network(space("camvid-11")), open_source(root), "test")


def test_calibration_is_that_of_the_probabilities(cityscapes, findings):
    """Against dense softmax at the picked pixels."""
    predictor = network(CITY)
    confident, right = [], []
    for record in cityscapes.find("val"):
        truth = cityscapes.read_label(record)
        decoded = predictor(record.image, confidence=True)
        at = pick_pixels(truth, CITY, record.key)
        confident.append(decoded.confidence[at])
        right.append(decoded.labels[at] == truth[at])
    result = findings.calibration.result()
    assert result.counts.sum() == sum(map(len, right))
    mean = (result.confidence * result.counts)[result.counts > 0].sum() / result.counts.sum()
    assert mean == pytest.approx(float(np.concatenate(confident).mean()), rel=1e-3)
    share = (result.accuracy * result.counts)[result.counts > 0].sum() / result.counts.sum()
    assert share == pytest.approx(float(np.concatenate(right).mean()), rel=1e-6)


def test_calibration_needs_the_network_s_own_classes(tmp_path):
    source = open_source(fake_camvid(tmp_path, size=SIZE))
    with pytest.raises(LabelError, match="calibration: the network has probabilities for cityscapes-19"):
        examine(network(CITY), source, "test", aspects=("calibration",))


def relabeled_pair(tmp_path):
    """Two data sets of the same images; the labels of the second, the older ones, have no trees."""
    paths = []
    for name in ("new", "old"):
        root = tmp_path / name
        content = {"path": ".", "train": "images/train", "val": "images/val", "names": list(NAMES)}
        for split in ("train", "val"):
            for i in range(2):
                mask = stripes(np.roll([0, 1, 2, 255], i), SIZE)
                save(root / "images" / split / f"{split}_{i}.png", picture(f"{split}{i}", SIZE))
                save(
                    root / "masks" / split / f"{split}_{i}.png",
                    mask if name == "new" else np.where(mask == 2, 0, mask).astype(np.uint8),
                )
        paths.append(write_yaml(root / "data.yaml", content))
    return [open_source(path) for path in paths]


def test_a_relabeled_model_is_scored_on_the_original_labels(tmp_path):
    new, old = relabeled_pair(tmp_path)
    predictor = network(new.target)
    findings = examine(predictor, new, "val", original=old)
    counts = np.zeros((4, 4), np.int64)
    for record, before in zip(new.find("val"), old.find("val"), strict=True):
        truth, original = new.read_label(record), old.read_label(before)
        labels = predictor(record.image).labels
        for p, n, o in zip(
            labels.ravel().tolist(), truth.ravel().tolist(), original.ravel().tolist(), strict=True
        ):
            given = p if n == o else (o if p == n else 3)
            counts[3 if n == 255 else o, given] += 1
    assert np.array_equal(findings.confusion.counts, counts)
    assert counts[2].sum() == 0
    protocol = protocol_of(predictor, new, "val", findings.confusion, relabeled=True)
    assert "a relabeled model on the original labels" in str(protocol)


def test_original_labels_of_other_images_are_refused(tmp_path):
    new, old = relabeled_pair(tmp_path)
    for path in (tmp_path / "old").rglob("val_1.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"has no .*val_1 in split 'val'"):
        examine(network(new.target), new, "val", original=old)


def test_sums_into_a_space_whose_ids_have_gaps_are_scored_by_its_ids(cityscapes):
    """19 classes, renamed into the official ids and back, score as they are."""
    official = network(CITY).to(space("cityscapes"))
    assert not official.space.is_contiguous
    plain = evaluate(network(CITY), cityscapes, "val")
    assert np.array_equal(evaluate(official, cityscapes, "val").counts, plain.counts)
