"""Label spaces of users: edits of others, as data."""

from pathlib import Path

import numpy as np
import pytest

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace, find_space, label_map, space, space_note, space_origins
from roadseg.labels.editing import Edits

STREETS = """
name = "my-streets"
title = "Streets with crosswalks"
parent = "cityscapes-19"
drop = ["train"]
merge = { "two-wheeler" = ["motorcycle", "bicycle"], car = ["car", "truck"] }
split = { road = ["road", "crosswalk"] }
classes = ["pothole", { name = "manhole", color = [1, 2, 3], group = "flat" }]

[from.mapillary-65]
through = "cityscapes-19"
crosswalk = ["Crosswalk - Plain", "Lane Marking - Crosswalk"]
pothole = ["Pothole"]

[to.camvid-11]
road = ["road", "crosswalk", "pothole"]
bicyclist = ["two-wheeler", "rider"]
"""


@pytest.fixture
def streets(tmp_path):
    file = tmp_path / "streets.toml"
    file.write_text(STREETS)
    return file


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def goals(source, target):
    return label_map(source, target).report().goals


def test_the_classes(streets):
    item = space(streets)
    assert item.names == (
        "road", "crosswalk", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
        "vegetation", "terrain", "sky", "person", "rider", "car", "bus", "two-wheeler", "pothole", "manhole",
    )  # fmt: skip
    assert item.is_contiguous
    assert item.ignore == 255
    parent = space("cityscapes-19")
    assert item.classes[0].color == parent.classes[0].color
    assert item.classes[item.index("two-wheeler")].color == parent.classes[parent.index("motorcycle")].color
    assert item.classes[-1].color == (1, 2, 3)
    assert item.classes[-1].group == "flat"
    assert len({entry.color for entry in item.classes}) == item.num_classes
    assert space_note(streets).title == "Streets with crosswalks"
    assert space_note(streets).parent == "cityscapes-19"


def test_a_file_goes_wherever_a_name_goes(streets):
    item = find_space(str(streets))
    assert find_space(item) is item
    assert space("my-streets") == space(streets) == item
    assert label_map("mseg-194", streets) == label_map("mseg-194", item)
    assert space_origins(streets) == ("cityscapes-19", "mapillary-65")


def test_maps_from_and_to_the_parent(streets):
    down = goals("cityscapes-19", streets)
    assert (down["train"], down["truck"], down["motorcycle"], down["road"]) == (
        None,
        "car",
        "two-wheeler",
        "road",
    )
    up = goals(streets, "cityscapes-19")
    assert (up["crosswalk"], up["car"], up["pothole"]) == ("road", "car", None)
    assert up["two-wheeler"] is None, "no member bears its name: motorcycle or bicycle cannot be told"


def test_declared_maps(streets):
    vistas = goals("mapillary-65", streets)
    assert vistas["Crosswalk - Plain"] == "crosswalk"
    assert vistas["Pothole"] == "pothole"
    assert vistas["Manhole"] == "road", "through Cityscapes"
    assert vistas["On Rails"] is None
    camvid = goals(streets, "camvid-11")
    assert (camvid["crosswalk"], camvid["rider"], camvid["sky"]) == ("road", "bicyclist", None)


def test_chains_lead_through_the_parent(streets):
    assert label_map("mseg-194", streets) == label_map("mseg-194", "cityscapes-19").then(
        label_map("cityscapes-19", streets)
    )
    assert label_map(streets, "mseg-194") == label_map(streets, "cityscapes-19").then(
        label_map("cityscapes-19", "mseg-194")
    )
    assert goals("kitti", streets)["truck"] == "car"


def test_the_report_says_what_is_lost(streets):
    report = label_map("cityscapes-19", streets).report()
    assert report.dropped == ("train",)
    assert report.unreachable == ("crosswalk", "pothole", "manhole")
    assert report.merged == {"car": ("car", "truck"), "two-wheeler": ("motorcycle", "bicycle")}
    assert report.sentences() == [
        "1 class of cityscapes-19 ignored: train.",
        "3 classes of my-streets never reached (IoU 0): crosswalk, pothole, manhole.",
        "2 classes of my-streets merged, not told apart again: car from car, truck; "
        "two-wheeler from motorcycle, bicycle.",
    ]


def test_a_file_may_be_the_parent_of_another(streets):
    child = write(streets.parent, 'name = "few"\nparent = "streets.toml"\npick = ["car", "road"]\n')
    assert space(child).names == ("car", "road")
    assert goals("cityscapes-19", child)["truck"] == "car"
    assert goals(child, "cityscapes-19") == {"car": "car", "road": "road"}


def test_additions_alone_keep_the_ids(tmp_path):
    item = space(write(tmp_path, 'name = "more"\nparent = "cityscapes"\nclasses = ["pothole"]\n'))
    assert item.ids == (*space("cityscapes").ids, 34)
    assert item.ignore == 0
    assert label_map(item, "cityscapes").relabel(np.array([7, 34], np.uint8)).tolist() == [7, 0]


def test_edits_leave_the_void_class_out(tmp_path):
    item = space(write(tmp_path, 'name = "fewer"\nparent = "cityscapes"\ndrop = ["license plate"]\n'))
    assert "unlabeled" not in item.names
    assert item.is_contiguous
    assert item.ignore == 255
    stored = np.array([0, 1, 7], np.uint8)
    assert label_map("cityscapes", item).relabel(stored).tolist() == [255, 0, 6]


def test_split_without_the_name_of_the_whole_is_ignored():
    made = Edits(split={"road": ["lane", "shoulder"]}).apply(space("cityscapes-19"))
    assert made.from_parent["road"] is None
    assert (made.to_parent["lane"], made.to_parent["shoulder"]) == ("road", "road")


def test_a_space_of_its_own(tmp_path):
    item = space(write(tmp_path, 'name = "own"\nclasses = ["road", "rest"]\n[from.cityscapes-19]\nroad = ["road"]\n'
                                 'rest = "all others"\n'))  # fmt: skip
    assert item.ids == (0, 1)
    assert item.ignore == 255
    report = label_map("cityscapes-19", item).report()
    assert (report.dropped, report.unreachable) == ((), ())


def test_a_file_is_read_anew(tmp_path):
    file = write(tmp_path, 'name = "changing"\nclasses = ["road"]\n')
    old = space(file)
    write(tmp_path, 'name = "changing"\nclasses = ["road", "sky"]\n[from.cityscapes-19]\nsky = ["road"]\n')
    assert goals("cityscapes-19", file)["road"] == "sky"
    assert goals("cityscapes-19", old)["road"] == "road", "a space that only bears the name: by class name"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('parent = "cityscapes-19"', "has name = ''; give name as a text"),
        ('name = "x"', "label space 'x' has no classes"),
        ('name = "x"\nparent = "cityscape"', "did you mean cityscapes"),
        ('name = "x"\nparents = "cityscapes"', "has the key 'parents'; did you mean parent"),
        ('name = "x"\ndrop = ["road"]', "edits a label space without naming it; add `parent = ...`"),
        (
            'name = "x"\nparent = "cityscapes-19"\ndrop = ["trian"]',
            "has no class 'trian'; did you mean train",
        ),
        ('name = "x"\nparent = "cityscapes-19"\ndrop = "train"', "give drop as a list of class names"),
        ('name = "x"\nparent = "cityscapes-19"\nmerge = ["a"]', "give merge as a table"),
        ('name = "x"\nparent = "cityscapes-19"\nsplit = { road = [] }', "has nothing in split.road"),
        (
            'name = "x"\nparent = "cityscapes-19"\ndrop = ["car"]\nmerge = { v = ["car", "bus"] }',
            "edits car of",
        ),
        (
            'name = "x"\nparent = "cityscapes-19"\nsplit = { road = ["lane", "car"] }',
            "name car more than once",
        ),
        ('name = "x"\nclasses = [{ name = "a", hue = 3 }]', "a class is a name, or a table of color, group"),
        ('name = "x"\nclasses = [3]', "has the class 3"),
        ('name = "x"\nclasses = [{ id = 3 }]', "a class has no name"),
        ('name = "cityscapes-19"\nclasses = ["a"]', "has the name of the label space cityscapes-19"),
        ('name = "x"\nclasses = ["a"]\n[from]\nvoc-21 = "same"', "is 'same'; give a table, or 'same names'"),
        ('name = "x"\nclasses = ["a"]\n[from.voc-21]\na = "dog"', "list of source classes, or 'all others'"),
        (
            'name = "x"\nclasses = ["a"]\n[from.voc-21]\na = ["cart"]',
            "has no class 'cart'; did you mean cat or car",
        ),
        ('name = "x"\nclasses = ["a"]\n[from.voc-21]\nb = ["cat"]', "has no class 'b'"),
        (
            'name = "x"\nclasses = ["a", "b"]\n[from.voc-21]\na = ["cat"]\nb = ["cat"]',
            "sends cat to both a and b",
        ),
        (
            'name = "x"\nclasses = ["a", "b"]\n[from.voc-21]\na = "all others"\nb = "all others"',
            "sends all others to a and b",
        ),
        ('name = "x"\nclasses = ["a"]\n[to.voc-21]\ncat = ["b"]', "has no class 'b'"),
        ('name = "x"\nclasses = ["a"]\n[from]\nvoc-21 = ["a"]', "has from.voc-21 = ['a']; give a table, or"),
        ('name = "x"\nclasses = ["a"]\n[to]\nvoc-21 = 3', "has to.voc-21 = 3; give a table, or"),
        ('name = "x"\nparent = ["cityscapes"]', "has parent = ['cityscapes']; give parent as a text"),
        ('name = "x"\nparent = "mine.toml"', "is its own parent"),
        ("name = road", "is not TOML"),
    ],
)
def test_mistakes_name_file_and_remedy(tmp_path, text, words):
    file = write(tmp_path, text)
    with pytest.raises(LabelError) as caught:
        space(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    if 'name = "x"' in text:
        with pytest.raises(LabelError, match="unknown label space 'x'"):
            space("x")


def test_files_that_are_none(tmp_path):
    with pytest.raises(LabelError, match=r"missing.toml: cannot be read as a label space .No such file"):
        space(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(LabelError, match="no UTF-8 text"):
        space(str(tmp_path / "latin.toml"))


def test_no_edit_gives_the_parent():
    parent = LabelSpace.from_names(["a", "b"])
    made = Edits().apply(parent)
    assert made.classes == parent.classes
    assert made.from_parent == made.to_parent == {"a": "a", "b": "b"}
