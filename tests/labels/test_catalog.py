"""The spaces that come with roadseg: their facts, their files and every map they declare."""

import subprocess
import sys
import tomllib
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

import roadseg.labels
from roadseg.errors import LabelError
from roadseg.labels import (
    Class,
    LabelSpace,
    SpaceNote,
    label_map,
    space,
    space_names,
    space_note,
    space_origins,
)
from tests.write_label_spaces import FILE, page

# name: classes, ignored id, whether a network can predict it
SPACES = {
    "ade20k": (151, 0, True),
    "ade20k-150": (150, 255, True),
    "ade20k-150-relabeled": (141, 255, True),
    "bdd-19": (19, 255, True),
    "bdd-19-relabeled": (21, 255, True),
    "camvid-11": (11, 11, True),
    "camvid-12": (12, 11, True),
    "camvid-32": (32, 30, True),
    "cityscapes": (35, 0, False),
    "cityscapes-19": (19, 255, True),
    "cityscapes-19-relabeled": (21, 255, True),
    "cityscapes-20": (20, 19, True),
    "cityscapes-34-relabeled": (26, 255, True),
    "coco-panoptic": (133, 0, False),
    "coco-panoptic-133": (133, 255, True),
    "coco-panoptic-133-relabeled": (155, 255, True),
    "idd": (40, 35, True),
    "idd-26": (26, 255, True),
    "idd-39": (39, 255, True),
    "idd-39-relabeled": (30, 255, True),
    "kitti": (35, 0, False),
    "kitti-19": (19, 255, True),
    "mapillary-65": (65, 65, True),
    "mapillary-65-relabeled": (51, 255, True),
    "mapillary-66": (66, 65, True),
    "mseg-194": (194, 255, True),
    "pascal-context": (60, 255, True),
    "pascal-context-60": (60, 255, True),
    "scannet": (40, 0, False),
    "scannet-20": (20, 255, True),
    "sunrgbd": (37, 0, False),
    "sunrgbd-37": (37, 255, True),
    "sunrgbd-37-relabeled": (48, 255, True),
    "viper": (32, 0, True),
    "voc-21": (21, 255, True),
    "wilddash": (39, 0, True),
    "wilddash-19": (19, 255, True),
}
TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
    28: 15, 31: 16, 32: 17, 33: 18,
}  # fmt: skip
# Not every class of the target, such as parking, has an origin.
SPARSE = {"ade20k", "cityscapes", "mapillary-65", "mapillary-66", "pascal-context-60", "viper", "wilddash"}
DECLARED = [(source, target) for target in SPACES for source in space_origins(target)]


def test_space_names():
    assert space_names() == tuple(sorted(SPACES))


@pytest.mark.parametrize(("name", "facts"), SPACES.items())
def test_space_facts(name, facts):
    item = space(name)
    assert item.name == name
    assert (item.num_classes, item.ignore, item.is_contiguous) == facts
    assert item.dtype == np.uint8
    assert space(name) is item


@pytest.mark.parametrize("name", SPACES)
def test_space_files_hold_only_what_the_loader_reads(name):
    document = tomllib.loads(
        files("roadseg.labels").joinpath("spaces", f"{name}.toml").read_text(encoding="utf-8")
    )
    assert document["name"] == name
    assert set(document) <= {
        "name",
        "title",
        "source",
        "license",
        "ignore",
        "parent",
        "pick",
        "classes",
        "from",
    }
    note = space_note(name)
    assert note == SpaceNote(
        document["title"], document["source"], document["license"], document.get("parent", "")
    )
    assert all((note.title, note.source, note.license))


def test_unknown_space():
    with pytest.raises(LabelError, match="unknown label space 'citiscapes-19'; did you mean cityscapes-19"):
        space("citiscapes-19")
    with pytest.raises(LabelError, match="known are ade20k, ade20k-150"):
        space_note("../errors")
    with pytest.raises(LabelError, match="unknown label space"):
        label_map("nowhere", "camvid-11")


def test_cityscapes_classes():
    item = space("cityscapes")
    assert item.ids == (*range(34), -1)
    assert item.names[:7] == (
        "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground",
    )  # fmt: skip
    groups = {}
    for entry in item.classes:
        groups.setdefault(entry.group, []).append(entry.id)
    assert groups == {
        "void": list(range(7)),
        "flat": [7, 8, 9, 10],
        "construction": [11, 12, 13, 14, 15, 16],
        "object": [17, 18, 19, 20],
        "nature": [21, 22],
        "sky": [23],
        "human": [24, 25],
        "vehicle": [*range(26, 34), -1],
    }
    assert [entry.id for entry in item.classes if entry.has_instances] == list(range(24, 34))
    assert item.classes[item.index("license plate")] == Class("license plate", -1, (0, 0, 142), "vehicle")
    assert item.classes[item.index("parking")].color == (250, 170, 160)


def test_cityscapes_agrees_with_the_official_table():
    table = pytest.importorskip("cityscapesscripts.helpers.labels")
    item = space("cityscapes")
    official = {label.name: label for label in table.labels}
    assert set(item.names) == set(official)
    for entry in item.classes:
        label = official[entry.name]
        assert (entry.id, entry.color, entry.group) == (label.id, label.color, label.category), entry.name
        assert entry.has_instances == label.hasInstances, entry.name
    scored = [label for label in table.labels if not label.ignoreInEval]
    assert {label.id: label.trainId for label in scored} == TRAIN_IDS
    train = space("cityscapes-19")
    assert [entry.name for entry in train.classes] == [label.name for label in scored]
    # The seven categories that the official evaluation averages: those of the classes it scores.
    assert {entry.name: entry.group for entry in train.classes} == {x.name: x.category for x in scored}
    assert {entry.group for entry in train.classes} == {
        "flat", "construction", "object", "nature", "sky", "human", "vehicle",
    }  # fmt: skip
    # iIoU is of the classes with instances.
    assert {x.name for x in train.classes if x.has_instances} == {x.name for x in scored if x.hasInstances}


def test_cityscapes_19_palette():
    palette = [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ]  # fmt: skip
    np.testing.assert_array_equal(space("cityscapes-19").palette, palette)
    assert space("cityscapes-19").classes[12] == Class("rider", 12, (255, 0, 0), "human", has_instances=True)


def test_cityscapes_ids_to_train_ids():
    table = dict(label_map("cityscapes", "cityscapes-19").table)
    assert table == {number: TRAIN_IDS.get(number, 255) for number in (*range(34), -1)}
    assert table == dict(label_map("kitti", "cityscapes-19").table)


def test_train_ids_to_official_ids():
    official = label_map("cityscapes-19", "cityscapes")
    mask = np.array([*range(19), 255], dtype=np.uint8)
    np.testing.assert_array_equal(official.relabel(mask), [*TRAIN_IDS, 0])
    back = label_map("cityscapes", "cityscapes-19")
    np.testing.assert_array_equal(back.relabel(official.relabel(mask)), mask)


def test_void_channels_are_dropped():
    background = label_map("cityscapes-20", "cityscapes-19")
    np.testing.assert_array_equal(background.relabel(np.array([0, 18, 19], np.uint8)), [0, 18, 255])
    void = label_map("camvid-12", "camvid-11")
    np.testing.assert_array_equal(void.relabel(np.array([0, 10, 11], np.uint8)), [0, 10, 11])
    np.testing.assert_array_equal(void.matrix, np.eye(11, 12))


def test_derived_spaces():
    assert space("camvid-12").classes == (*space("camvid-11").classes, Class("void", 11, (0, 0, 0)))
    assert space("cityscapes-20").classes[:19] == space("cityscapes-19").classes
    assert space("kitti").classes == space("cityscapes").classes


def test_wilddash():
    item = space("wilddash")
    assert item.ids == tuple(range(39))
    assert [(x.id, x.name, x.group) for x in item.classes[:34]] == [
        (x.id, x.name, x.group) for x in space("cityscapes").classes if x.id >= 0
    ]
    assert item.names[34:] == ("pickup", "van", "billboard", "streetlight", "road-marking")
    assert dict(label_map("cityscapes-19", "wilddash").table) == dict(
        label_map("cityscapes-19", "cityscapes").table
    )
    every = np.arange(34, dtype=np.uint8)
    np.testing.assert_array_equal(label_map("cityscapes", "wilddash").relabel(every), every)
    assert label_map("cityscapes-19", "wilddash-19").is_identity


def test_camvid_colors():
    item = space("camvid-32")
    assert item.classes[item.ignore].name == "Void"
    assert len(np.unique(item.palette, axis=0)) == 32
    # Color label pictures of the original release to the 11 classes.
    rgb = np.array(
        [[(128, 64, 128), (128, 0, 192), (0, 0, 192), (192, 0, 192), (0, 0, 0), (64, 192, 0)]], dtype=np.uint8
    )
    usual = label_map("camvid-32", "camvid-11")
    np.testing.assert_array_equal(usual.relabel(item.encode_colors(rgb)), [[3, 3, 4, 10, 11, 1]])
    assert space("camvid-11").names == (
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    )  # fmt: skip
    assert space("camvid-11").classes[4].color == (60, 40, 222)


def test_camvid_grouping_drops_void_only():
    usual = label_map("camvid-32", "camvid-11")
    assert [number for number, wanted in usual.table if wanted == 11] == [30]
    assert sorted(set(dict(usual.table).values())) == list(range(12))


def test_cityscapes_to_camvid():
    usual = label_map("cityscapes-19", "camvid-11")
    names = space("camvid-11").names
    found = {name: names[wanted] for name, (_, wanted) in zip(usual.source.names, usual.table, strict=True)}
    assert found == {
        "road": "road", "sidewalk": "pavement", "building": "building", "wall": "building", "fence": "fence",
        "pole": "pole", "traffic light": "sign", "traffic sign": "sign", "vegetation": "tree", "terrain": "tree",
        "sky": "sky", "person": "pedestrian", "rider": "bicyclist", "car": "car", "truck": "car", "bus": "car",
        "train": "car", "motorcycle": "bicyclist", "bicycle": "bicyclist",
    }  # fmt: skip


def test_mapillary():
    item = space("mapillary-65")
    assert (item.names[0], item.names[13], item.names[64]) == ("Bird", "Road", "Ego Vehicle")
    assert sum(entry.has_instances for entry in item.classes) == 37
    assert len(np.unique(item.palette, axis=0)) == 65
    kept = label_map("mapillary-65", "cityscapes-19")
    ids = [
        item.index(name) for name in ("Lane Marking - General", "Motorcyclist", "On Rails", "Curb", "Barrier")
    ]
    np.testing.assert_array_equal(kept.relabel(np.array([*ids, 65], np.uint8)), [0, 12, 16, 1, 255, 255])


def test_camvid_masks_are_known(shared):
    folder = shared / "data" / "camvid" / "valannot"
    path = sorted(folder.glob("*.png"))[0]
    with Image.open(path) as picture:
        mask = np.asarray(picture)
    item = space("camvid-11")
    relabeled = label_map(item, item).relabel(mask, where=str(path))
    np.testing.assert_array_equal(relabeled, mask)
    assert item.encode_colors(item.colorize(mask)).tolist() == mask.tolist()


def test_cityscapes_colors_are_known(shared):
    path = next((shared / "data" / "cityscapes_samples").glob("*gtFine_color*"))
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    ids = space("cityscapes").encode_colors(rgb, where=path.name)
    assert np.isin([7, 11, 21, 26], ids).all()


def test_cityscapes_train_ids_agree_with_the_official_file(shared):
    folder = shared / "data" / "cityscapes_samples"
    masks = []
    for kind in ("labelIds", "labelTrainIds"):
        with Image.open(folder / f"frankfurt_000000_000294_gtFine_{kind}_256x128.png") as picture:
            masks.append(np.asarray(picture))
    ids, train_ids = masks
    relabeled = label_map("cityscapes", "cityscapes-19").relabel(ids)
    # The two files were shrunk separately and differ in a few border pixels.
    assert (relabeled == train_ids).mean() > 0.99
    for number in np.unique(ids):
        values, counts = np.unique(train_ids[ids == number], return_counts=True)
        assert values[counts.argmax()] == TRAIN_IDS.get(int(number), 255)


@pytest.mark.parametrize(("source", "target"), DECLARED)
def test_declared_maps_are_total(source, target):
    declared = label_map(source, target)
    assert (declared.source, declared.target) == (space(source), space(target))
    every_id = [
        declared.source.stored_id(number) for number in (*declared.source.ids, declared.source.ignore)
    ]
    relabeled = declared.relabel(np.array(every_id, dtype=np.uint8))
    allowed = {declared.target.stored_id(number) for number in (*declared.target.ids, declared.target.ignore)}
    assert set(relabeled.tolist()) <= allowed
    assert relabeled[-1] == declared.target.ignore


def test_every_predicted_class_has_a_declared_origin():
    # A typo in a target class would leave a class without any source.
    for source, target in DECLARED:
        used = set(dict(label_map(source, target).table).values())
        if space(source).num_classes >= space(target).num_classes and target not in SPARSE:
            assert used >= set(space(target).ids) - {space(target).ignore}, (source, target)


@pytest.mark.parametrize("name", SPACES)
def test_equal_spaces_give_the_identity(name):
    assert label_map(name, name).is_identity
    copy = LabelSpace("copy", space(name).classes, space(name).ignore)
    assert label_map(copy, name).is_identity


def test_chains_of_declared_maps():
    direct = label_map("cityscapes", "cityscapes-19").then(label_map("cityscapes-19", "camvid-11"))
    assert label_map("cityscapes", "camvid-11") == direct
    assert label_map("kitti", "camvid-11").table == direct.table
    # Two spaces between.
    assert label_map("mapillary-65", "camvid-12").relabel(np.array([[22, 63]], np.uint8)).tolist() == [
        [10, 11]
    ]
    # Not a chain, which would lose what Cityscapes does not score: every name is there.
    assert label_map("kitti", "cityscapes").is_identity


def test_a_changed_space_has_no_declared_map():
    # Same name, other ids, as in weights from elsewhere: only the class names can be trusted.
    changed = LabelSpace.from_names(["sky", "road", "rider"], name="cityscapes-19")
    by_name = label_map(changed, "camvid-11")
    assert by_name.table == ((0, 0), (1, 3), (2, 11))


def test_by_name_needs_a_shared_name():
    mine = LabelSpace.from_names(["lawn", "path"], name="garden")
    with pytest.raises(LabelError, match="garden to camvid-11: they share no class name; give a LabelMap"):
        label_map(mine, "camvid-11")
    with pytest.raises(LabelError, match="share no class name"):
        label_map("voc-21", "mapillary-65")


def test_map_files_lie_with_their_spaces_and_name_their_source():
    folder = files("roadseg.labels").joinpath("maps")
    found = [(target.name, file) for target in folder.iterdir() for file in target.iterdir()]
    assert len(found) == 23
    for target, file in found:
        source = file.name.removesuffix(".toml")
        assert source in space_origins(target)
        assert "mseg-194" in (source, target)
        text = file.read_text(encoding="utf-8")
        assert "10.1109/TPAMI.2022.3151200" in text or text.startswith("# Ours; MSeg publishes no map")


def test_origins_include_the_parent():
    assert space_origins("kitti-19") == ("cityscapes-19", "kitti")
    assert space_origins("idd-39-relabeled") == ("mseg-194",)
    assert {"ade20k-150", "bdd-19", "camvid-11", "sunrgbd-37"} <= set(space_origins("mseg-194"))


def lab(palette):
    """Return CIE L*a*b* (D65) of sRGB colors."""
    linear = np.asarray(palette) / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    x, y, z = np.moveaxis(linear @ np.transpose(to_xyz) / [0.9505, 1, 1.0888], -1, 0)
    x, y, z = (np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize(
    "name", ["ade20k", "coco-panoptic", "mseg-194", "pascal-context", "scannet", "viper"]
)
def test_generated_palettes_are_distinct(name):
    # 2.3 is a just noticeable difference; pole and fence of Cityscapes are 15.1 apart, and no two are closer.
    colors = lab(space(name).palette)
    apart = np.linalg.norm(colors[:, None] - colors, axis=-1) + 1e3 * np.eye(len(colors))
    assert apart.min() > 15


def test_street_classes_have_the_colors_of_cityscapes():
    universal, streets = space("mseg-194"), space("cityscapes-19")
    same = {"road": "road", "sidewalk_pavement": "sidewalk", "car": "car", "person": "person", "sky": "sky"}
    for name, known in same.items():
        assert universal.classes[universal.index(name)].color == streets.classes[streets.index(known)].color


def test_exported_names_are_sorted_and_exist():
    assert sorted(roadseg.labels.__all__) == roadseg.labels.__all__
    assert all(hasattr(roadseg.labels, name) for name in roadseg.labels.__all__)


def test_only_the_files_that_are_needed_are_read():
    code = (
        "import sys, tomllib; from roadseg.labels import space, label_map; known = []; loads = tomllib.loads\n"
        "tomllib.loads = lambda text: known.append(text.split('\\n')[0]) or loads(text)\n"
        "label_map('cityscapes', 'cityscapes-19'); print(len(known)); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "2"


def test_labels_need_no_torch():
    code = (
        "import sys, roadseg.labels as labels; labels.space('cityscapes'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_reference_page_is_current():
    assert FILE.read_text(encoding="utf-8") == page(), "run `python -m tests.write_label_spaces`"
