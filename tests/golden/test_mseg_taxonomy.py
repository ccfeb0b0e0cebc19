"""Every conversion of the MSeg taxonomy, against the published tables (mseg_taxonomy.json).

The facts file restates MSeg_master.tsv and the class lists of mseg-dataset/mseg-api (CC BY 4.0; Lambert et al., TPAMI
2023); it was compared with the converters of the published code: all 16 training taxonomies, all 6 test taxonomies.
"""

import json

import numpy as np
import pytest

from roadseg.errors import LabelError
from roadseg.labels import label_map, space

# published name: name here
TRAIN = {
    "ade20k-150": "ade20k-150",
    "bdd": "bdd-19",
    "cityscapes-19": "cityscapes-19",
    "cityscapes-34": "cityscapes",
    "coco-panoptic-133": "coco-panoptic-133",
    "idd-39": "idd-39",
    "mapillary-public65": "mapillary-65",
    "sunrgbd-37": "sunrgbd-37",
    "ade20k-150-relabeled": "ade20k-150-relabeled",
    "bdd-relabeled": "bdd-19-relabeled",
    "cityscapes-19-relabeled": "cityscapes-19-relabeled",
    "cityscapes-34-relabeled": "cityscapes-34-relabeled",
    "coco-panoptic-133-relabeled": "coco-panoptic-133-relabeled",
    "idd-39-relabeled": "idd-39-relabeled",
    "mapillary-public65-relabeled": "mapillary-65-relabeled",
    "sunrgbd-37-relabeled": "sunrgbd-37-relabeled",
}
TEST = {
    "camvid-11": "camvid-11",
    "kitti-19": "kitti-19",
    "pascal-context-60": "pascal-context-60",
    "scannet-20": "scannet-20",
    "voc2012": "voc-21",
    "wilddash-19": "wilddash-19",
}
RVC = {
    "ade20k-151": "ade20k",
    "cityscapes-34": "cityscapes",
    "mapillary-public65": "mapillary-65",
    "mapillary-public66": "mapillary-66",
    "viper-32": "viper",
    "wilddashv2-39": "wilddash",
}
# Names that differ: the official ones of CamVid, a hyphen in WildDash 2.
RENAMED = {
    "Building": "building", "Tree": "tree", "Sky": "sky", "Car": "car", "SignSymbol": "sign", "Road": "road",
    "Pedestrian": "pedestrian", "Fence": "fence", "Column_Pole": "pole", "Sidewalk": "pavement",
    "Bicyclist": "bicyclist",
}  # fmt: skip
SPELLED = {"camvid-11": RENAMED, "wilddash": {"street-light": "streetlight"}}


@pytest.fixture(scope="module")
def taxonomy(shared):
    return json.loads((shared / "facts" / "mseg_taxonomy.json").read_text(encoding="utf-8"))


def goals(source, target):
    """Return the class name that each class becomes, None for the ignored id."""
    found = label_map(source, target)
    names = {item.id: item.name for item in found.target.classes}
    names[found.target.ignore] = None
    table = dict(found.table)
    return {item.name: names[table[item.id]] for item in found.source.classes}


def test_universal_taxonomy(taxonomy):
    universal = space("mseg-194")
    assert universal.names == tuple(item["name"] for item in taxonomy["universal"])
    assert universal.ids == tuple(item["id"] for item in taxonomy["universal"]) == tuple(range(194))
    assert universal.ignore == taxonomy["ignore_index"]
    assert [x.has_instances for x in universal.classes] == [
        bool(x.get("thing")) for x in taxonomy["universal"]
    ]
    published = {item["name"]: item["category"] for item in taxonomy["universal"]}
    assert all(item.group == published[item.name] for item in universal.classes if published[item.name])


def test_all_sets_are_here(taxonomy):
    assert TRAIN.keys() == taxonomy["train_classes"].keys()
    assert len(TRAIN) == 16
    assert TEST.keys() == taxonomy["test_datasets"].keys()
    assert len(TEST) == 6
    assert RVC.keys() == {name for name in taxonomy["rvc_label_maps"] if not name.startswith("_")}


@pytest.mark.parametrize(("published", "name"), TRAIN.items())
def test_training_taxonomies(taxonomy, published, name):
    names = tuple(taxonomy["train_classes"][published])
    here = space(name)
    if name == "cityscapes":  # ours holds the license plate, id -1, too
        assert here.names == (*names, "license plate")
    else:
        assert here.names == names
        assert here.ids == tuple(range(len(names)))
    wanted = {
        label: item["name"] for item in taxonomy["universal"] for label in item["sources"].get(published, ())
    }
    found = goals(name, "mseg-194")
    assert {label: goal for label, goal in found.items() if goal} == wanted
    ignored = {label for label, goal in found.items() if goal is None and label in names}
    assert ignored == set(taxonomy["ignored"].get(published, ()))


@pytest.mark.parametrize(
    ("published", "name"), [pair for pair in TRAIN.items() if pair[0].endswith("relabeled")]
)
def test_relabeled_taxonomies_lose_nothing(published, name):
    there, back = label_map(name, "mseg-194"), label_map("mseg-194", name)
    assert (there.matrix.sum(axis=0) == 1).all()
    assert (there.matrix.sum(axis=1) <= 1).all()
    assert there.then(back).is_identity


@pytest.mark.parametrize("name", TRAIN.values())
def test_unknown_ids_raise_and_are_never_class_zero(name):
    # The published converters send an id that is not defined to class 0, "backpack".
    found = label_map(name, "mseg-194")
    used = {found.source.stored_id(number) for number in (*found.source.ids, found.source.ignore)}
    unknown = np.array(sorted(set(range(256)) - used), np.uint8)
    with pytest.raises(LabelError, match=f"holds id {unknown[0]} "):
        found.relabel(unknown)
    for number in unknown[:: max(1, len(unknown) // 8)]:
        with pytest.raises(LabelError, match=f"holds id {number} "):
            found.relabel(np.array([number]))


@pytest.mark.parametrize(("published", "name"), TEST.items())
def test_test_taxonomies(taxonomy, published, name):
    facts = taxonomy["test_datasets"][published]
    renamed = SPELLED.get(name, {})
    names = [renamed.get(label, label) for label in facts["classes"]]
    here = space(name)
    assert set(here.names) == set(names)
    if name != "camvid-11":  # stored in another order than MSeg lists
        assert here.names == tuple(names)
    wanted = np.zeros((len(names), 194), np.float32)
    for label, members in facts["mapping"].items():
        for member in members:
            wanted[here.index(renamed.get(label, label)), space("mseg-194").index(member)] = 1
    found = label_map("mseg-194", name)
    np.testing.assert_array_equal(found.matrix, wanted)
    assert set(found.matrix.sum(axis=0)) <= {0, 1}
    unreachable = {"pascal-context-60": ("flower", "wood")}.get(name, ())
    assert found.report().unreachable == unreachable


@pytest.mark.parametrize(("published", "name"), RVC.items())
def test_robust_vision_challenge(taxonomy, published, name):
    facts = taxonomy["rvc_label_maps"][published]
    renamed = SPELLED.get(name, {})
    names = tuple(renamed.get(label, label) for label in facts["classes"])
    here = space(name)
    assert here.names[: len(names)] == names
    assert here.ids[: len(names)] == tuple(range(len(names)))
    void = {item.name for item in here.classes if item.id == here.ignore}
    wanted = {
        member: None if (goal := renamed.get(label, label)) in void else goal
        for label, members in facts["mapping"].items()
        for member in members
    }
    if name == "mapillary-65":  # Published without an ignored id: what is no class of it became Bird.
        dumped = {member for member in facts["mapping"]["Bird"] if member != "bird"}
        assert len(dumped) == 125
        wanted |= dict.fromkeys(dumped)
    assert goals("mseg-194", name) == wanted


@pytest.mark.parametrize("name", TEST.values())
def test_projection_sums_random_scores(name):
    found = label_map("mseg-194", name)
    scores = np.random.default_rng(194).dirichlet(np.ones(194), size=(4, 5)).transpose(2, 0, 1)
    table = dict(found.table)
    summed = np.zeros((found.target.num_classes, 4, 5))
    for channel, number in enumerate(found.source.ids):
        if (goal := table[number]) in found.target.ids:
            summed[found.target.ids.index(goal)] += scores[channel]
    np.testing.assert_allclose(found.project(scores), summed, rtol=0, atol=1e-12)
