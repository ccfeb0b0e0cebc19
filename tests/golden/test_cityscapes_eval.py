"""The official evaluation of Cityscapes: its stored results, and its own code on random label maps."""

import importlib
import json
import math
import warnings

import numpy as np
import pytest
from PIL import Image

from roadseg.labels import LabelMap, label_map, space
from roadseg.media import read_mask
from roadseg.metrics import Confusion, Instances, Protocol, Scores

STORED = space("cityscapes")
EVALUATED = space("cityscapes-19").names
OFFICIAL = Protocol(absent="zero-if-predicted")


def scores_of(triples):
    """Scores of (truth, objects, prediction) in stored ids."""
    confusion = Confusion(STORED)
    instances = Instances(label_map(STORED, STORED), EVALUATED)
    for truth, objects, prediction in triples:
        confusion.update(truth, prediction)
        instances.update(objects, prediction)
    return Scores.from_confusion(confusion, OFFICIAL, evaluated=EVALUATED, instances=instances)


def same(value, wanted):
    if wanted is None or math.isnan(wanted):
        return math.isnan(value)
    return value == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def check(scores, official):
    """Compare with a result of the official code; it lists all classes, with NaN for those it does not score."""
    for i, name in enumerate(scores.names):
        assert same(scores.iou[i], official["classScores"][name]), name
        assert same(scores.instances.iou[i], official["classInstScores"][name]), name
    for name, wanted in official["categoryScores"].items():
        assert same(scores.categories.get(name, math.nan), wanted), name
    for name, wanted in official["categoryInstScores"].items():
        assert same(scores.instances.categories.get(name, math.nan), wanted), name
    assert same(scores.miou, official["averageScoreClasses"])
    assert same(scores.instances.miou, official["averageScoreInstClasses"])
    assert same(scores.category_miou, official["averageScoreCategories"])
    assert same(scores.instances.category_miou, official["averageScoreInstCategories"])


def test_scores_equal_the_stored_results(shared):
    folder = shared / "golden" / "cityscapes_eval"
    triples = []
    for truth in sorted(folder.glob("*_gtFine_labelIds.png")):
        names = [
            truth.name.replace("labelIds", "instanceIds"),
            truth.name.replace("_gtFine_labelIds", "_pred"),
        ]
        triples.append([read_mask(truth), *(read_mask(folder / name) for name in names)])
    assert len(triples) == 3
    check(scores_of(triples), json.loads((folder / "result.json").read_text()))


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The official module. It reads its paths when imported, and needs a function that NumPy 2.4 no longer has."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("CITYSCAPES_DATASET", str(tmp_path_factory.mktemp("cityscapes")))
        patch.setenv("CITYSCAPES_EXPORT_DIR", str(tmp_path_factory.mktemp("export")))
        patch.setattr(np, "in1d", np.isin, raising=False)
        pytest.importorskip("cityscapesscripts")
        module = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
        patch.setattr(module, "CSUPPORT", False)
        patch.setattr(module.args, "quiet", True)
        patch.setattr(module.args, "JSONOutput", False)
        yield module


def random_triple(rng, size, truth_ids, predicted_ids):
    """Truth in blocks, objects in it, and a prediction that is right where it does not guess."""
    blocks = rng.choice(truth_ids, size=(size[0] // 4, size[1] // 4))
    truth = np.kron(blocks, np.ones((4, 4), int)).astype(np.uint8)
    numbers = np.kron(rng.integers(0, 4, blocks.shape), np.ones((4, 4), int))
    # Of things some are single objects, some groups without a number; of the rest there are only classes.
    things = np.isin(truth, [c.id for c in STORED.classes if c.has_instances]) & (numbers > 0)
    objects = np.where(things, truth.astype(int) * 1000 + numbers, truth).astype(np.uint16)
    guessed = rng.random(size) < rng.random()
    prediction = np.where(guessed, rng.choice(predicted_ids, size=size), truth).astype(np.uint8)
    return truth, objects, prediction


ALL = [number for number in STORED.ids if number >= 0]
TRAINED = [STORED.classes[STORED.index(name)].id for name in EVALUATED]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("truth_ids", "predicted_ids"),
    [
        (ALL, ALL),
        (ALL, TRAINED),
        (TRAINED, ALL),
        ([7, 8, 11, 24, 26], [7, 26, 28, 29, 30]),  # absent classes, predicted ones and those never scored
        ([0, 1, 4, 29], TRAINED),  # nothing that is scored
        ([7, 11, 23], [7, 11, 21]),  # no objects
    ],
    ids=["all", "trained", "wild", "few", "void", "stuff"],
)
def test_scores_equal_the_official_code(official, tmp_path, seed, truth_ids, predicted_ids):
    rng = np.random.default_rng(seed)
    triples, truths, predictions = [], [], []
    for number in range(3):
        size = (int(rng.integers(3, 9)) * 4, int(rng.integers(3, 12)) * 4)
        triples.append(random_triple(rng, size, truth_ids, predicted_ids))
        stem = f"aachen_00000{number}_000019"
        paths = [
            tmp_path / f"{stem}_{kind}.png" for kind in ("gtFine_labelIds", "gtFine_instanceIds", "pred")
        ]
        for path, array in zip(paths, triples[-1], strict=True):
            Image.fromarray(array).save(path)
        truths.append(str(paths[0]))
        predictions.append(str(paths[2]))
    result = official.evaluateImgLists(predictions, truths, official.args)
    scores = scores_of(triples)
    check(scores, result)
    matrix = np.array(result["confMatrix"], np.int64)
    confusion = Confusion(STORED)
    for truth, _, prediction in triples:
        confusion.update(truth, prediction)
    scored = [STORED.index(name) for name in EVALUATED]
    assert np.array_equal(matrix[np.ix_(TRAINED, TRAINED)], confusion.counts[np.ix_(scored, scored)])


@pytest.mark.parametrize("seed", range(3))
def test_train_ids_give_the_same_scores(official, seed):
    """What `roadseg evaluate` counts, in train ids, is what the official code counts in stored ids."""
    rng = np.random.default_rng(seed)
    triples = [random_triple(rng, (32, 48), ALL, TRAINED) for _ in range(3)]
    to_train = label_map(STORED, "cityscapes-19")
    confusion, instances = Confusion(to_train.target), Instances(to_train)
    for truth, objects, prediction in triples:
        truth, prediction = (to_train.relabel(ids) for ids in (truth, prediction))
        confusion.update(truth, prediction)
        instances.update(objects, prediction)
    trained = Scores.from_confusion(confusion, OFFICIAL, instances=instances)
    stored = scores_of(triples)
    np.testing.assert_allclose(trained.iou, stored.iou, rtol=1e-12)
    np.testing.assert_allclose(trained.instances.iou, stored.instances.iou, rtol=1e-12)
    assert trained.categories == pytest.approx(stored.categories, rel=1e-12)
    assert trained.instances.categories == pytest.approx(stored.instances.categories, rel=1e-12)
    assert trained.to_json()["iiou"] == pytest.approx(stored.to_json()["iiou"], rel=1e-12)


def test_average_sizes_are_the_official_ones(official):
    from roadseg.metrics import CITYSCAPES_SIZES

    assert dict(CITYSCAPES_SIZES) == official.args.avgClassSize


def test_the_stored_space_maps_to_itself():
    assert isinstance(label_map(STORED, STORED), LabelMap)
