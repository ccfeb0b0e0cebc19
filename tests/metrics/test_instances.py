import math

import numpy as np
import pytest

from roadseg.errors import LabelError
from roadseg.labels import label_map, space
from roadseg.metrics import CITYSCAPES_SIZES, Confusion, Instances, Protocol, Scores

TO_TRAIN = label_map("cityscapes", "cityscapes-19")
CITY = TO_TRAIN.target
ROAD, PERSON, RIDER, CAR, TRUCK = (CITY.index(name) for name in ("road", "person", "rider", "car", "truck"))


def scores(objects, prediction, protocol=None):
    """Scores of one image whose truth follows from its objects; 7 is road."""
    objects, prediction = np.asarray(objects, np.uint16), np.asarray(prediction, np.uint8)
    truth = TO_TRAIN.relabel(np.where(objects > 1000, objects // 1000, objects).astype(np.uint8))
    confusion, instances = Confusion(CITY), Instances(TO_TRAIN)
    confusion.update(truth, prediction)
    instances.update(objects, prediction)
    return Scores.from_confusion(confusion, protocol, instances=instances)


def test_a_small_object_weighs_as_much_as_a_large_one():
    """A large car that is found and a small one that is missed: IoU 8/10, iIoU one half."""
    found = scores([[26001] * 8 + [26002] * 2], [[CAR] * 8 + [ROAD] * 2])
    assert found.iou[CAR] == pytest.approx(8 / 10)
    assert found.instances.iou[CAR] == pytest.approx(1 / 2)
    assert found.instances.miou == pytest.approx(1 / 2)


def test_false_positives_keep_their_size():
    size = CITYSCAPES_SIZES["car"]
    found = scores([[26001] * 4 + [7] * 6], [[CAR] * 10])
    assert found.instances.iou[CAR] == pytest.approx(size / (size + 6))


def test_a_group_forgives_confusion_within_it():
    found = scores([[26001] * 4 + [24001] * 4 + [7]], [[TRUCK] * 4 + [RIDER] * 4 + [ROAD]])
    assert found.instances.iou[CAR] == found.instances.iou[PERSON] == 0
    assert found.instances.categories == {"human": pytest.approx(1.0), "vehicle": pytest.approx(1.0)}
    assert found.categories["vehicle"] == found.categories["human"] == found.category_miou == 1


def test_crowds_and_stuff_are_no_objects():
    found = scores([[26] * 4 + [7] * 4], [[CAR] * 4 + [ROAD] * 4])
    assert found.iou[CAR] == 1
    assert math.isnan(found.instances.iou[ROAD])
    assert math.isnan(found.instances.iou[CAR])


def test_objects_of_classes_that_are_not_scored_do_not_count():
    found = scores([[29001] * 4 + [7] * 4], [[CAR] * 8])  # a caravan
    assert math.isnan(found.instances.miou)


def test_excluded_classes_are_left_out_of_the_mean():
    objects, prediction = [[26001] * 4 + [24001] * 4], [[CAR] * 4 + [ROAD] * 4]
    assert scores(objects, prediction).instances.miou == pytest.approx(0.5)
    assert scores(objects, prediction, Protocol(excluded=("person",))).instances.miou == pytest.approx(1)


def test_halves_add_up():
    rng = np.random.default_rng(0)
    objects = rng.choice([7, 26001, 26002, 24001, 33004], size=(2, 8, 12)).astype(np.uint16)
    prediction = rng.choice([ROAD, CAR, PERSON], size=(2, 8, 12)).astype(np.uint8)
    parts = [Instances(TO_TRAIN), Instances(TO_TRAIN)]
    whole = Instances(TO_TRAIN)
    for i in range(2):
        parts[i].update(objects[i], prediction[i])
        whole.update(objects[i], prediction[i])
    together = parts[0] + parts[1]
    np.testing.assert_allclose(together.counts, whole.counts, rtol=1e-12)
    assert together.images == 2


def test_json_has_iiou_per_class_and_group():
    found = scores([[26001] * 8 + [26002] * 2], [[CAR] * 8 + [ROAD] * 2]).to_json()
    assert found["classes"]["car"]["iiou"] == pytest.approx(0.5)
    assert found["classes"]["road"]["iiou"] is None
    assert found["categories"]["vehicle"] == {"iou": pytest.approx(0.8), "iiou": pytest.approx(0.5)}
    assert found["categories"]["flat"]["iiou"] is None
    assert found["iiou"] == found["category_iiou"] == pytest.approx(0.5)


def test_spaces_without_objects_have_none():
    assert Instances(TO_TRAIN).any_class
    assert not Instances(TO_TRAIN.then(label_map(CITY, "camvid-11"))).any_class


def test_other_sizes_and_unknown_classes_are_refused():
    instances = Instances(TO_TRAIN)
    with pytest.raises(LabelError, match=r"o\.png.*differ"):
        instances.update(np.zeros((2, 3), np.uint16), np.zeros((3, 2), np.uint8), where="o.png")
    with pytest.raises(LabelError, match=r"o\.png.*class 60, which cityscapes does not have"):
        instances.update(np.full((2, 3), 60001, np.uint16), np.zeros((2, 3), np.uint8), where="o.png")
    with pytest.raises(LabelError, match="different label spaces"):
        instances + Instances(label_map("cityscapes", "cityscapes"))


def test_groups_are_scored_without_objects_too():
    assert space("camvid-11").classes[0].group == ""
    confusion = Confusion(space("camvid-11"))
    confusion.update(np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8))
    found = Scores.from_confusion(confusion)
    assert found.categories == {}
    assert "categories" not in found.to_json()
    assert "iiou" not in found.to_json()
