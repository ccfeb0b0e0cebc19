import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import open_source, with_autolabels
from roadseg.data.cache import build_cache
from roadseg.data.joint import find_cache, joined, union_space
from roadseg.errors import DataError, LabelError
from roadseg.labels import LabelSpace, label_map, space
from tests.fakes import fake_camvid, fake_cityscapes, save


@pytest.fixture
def camvid(tmp_path):
    return open_source(fake_camvid(tmp_path / "camvid"))


@pytest.fixture
def cityscapes(tmp_path):
    return open_source(fake_cityscapes(tmp_path / "cityscapes"))


class TestTo:
    def test_labels_are_translated_as_they_are_read(self, camvid):
        universal = space("mseg-194")
        record = camvid.find("train")[0]
        translated = camvid.to(universal)
        wanted = label_map(camvid.target, universal).relabel(camvid.read_label(record))
        assert np.array_equal(translated.read_label(record), wanted)
        assert translated.target == universal
        assert translated.stored == camvid.stored
        assert translated.native is camvid

    def test_to_its_own_space_is_itself(self, camvid):
        assert camvid.to(camvid.target) is camvid

    def test_one_space_after_the_other(self, cityscapes):
        twice = cityscapes.to(space("mseg-194")).to(space("wilddash-19"))
        record = cityscapes.find("train")[0]
        assert twice.native is cityscapes
        steps = label_map("cityscapes-19", "mseg-194").then(label_map("mseg-194", "wilddash-19"))
        assert twice.translation == steps
        assert np.array_equal(twice.read_label(record), steps.relabel(cityscapes.read_label(record)))

    def test_what_no_label_can_name(self, camvid):
        assert camvid.unreachable == ()
        assert len(camvid.to(space("mseg-194")).unreachable) == 194 - 11

    def test_without_a_map(self, camvid):
        with pytest.raises(LabelError, match="no map leads from label space camvid-11 to fruit"):
            camvid.to(LabelSpace.from_names(["apple", "pear"], "fruit"))

    def test_labels_that_were_changed_are_not_translated(self, cityscapes, tmp_path):
        for record in cityscapes.find("train_extra"):
            save(tmp_path / "made" / f"{record.image.stem}.png", cityscapes.read_stored(record))
            save(tmp_path / "made" / f"{record.image.stem}_prob.png", np.full((12, 16), 255, np.uint8))
        changed = with_autolabels(cityscapes, root=tmp_path / "made")
        with pytest.raises(DataError, match="translate the data set first"):
            changed.to(space("mseg-194"))
        translated = with_autolabels(cityscapes.to(space("mseg-194")), root=tmp_path / "made")
        assert translated.target == space("mseg-194")
        assert translated.refine is not None


class TestJoined:
    def test_a_file_of_a_space(self, camvid, cityscapes, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text(
            'name = "mine"\nignore = 255\nclasses = [{ name = "ground", id = 0 }, { name = "rest", id = 1 }]\n'
            '[from.camvid-11]\nground = ["road"]\nrest = ["car"]\n'
            '[from.cityscapes-19]\nground = ["road", "terrain"]\n'
        )
        one, other = joined([camvid, cityscapes], str(file))
        assert one.target == other.target
        assert one.target.names == ("ground", "rest")
        assert (one.unreachable, other.unreachable) == ((), ("rest",))

    def test_nothing_to_translate_to(self, camvid, cityscapes):
        assert joined([camvid, cityscapes], "") == (camvid, cityscapes)

    @given(
        st.lists(st.lists(st.sampled_from(["a", "A", "b", "B", "c"]), min_size=1, unique=True), min_size=1)
    )
    @settings(max_examples=50, deadline=None)
    def test_the_union_has_every_name_once(self, names):
        spaces = [LabelSpace.from_names(each, f"space {i}") for i, each in enumerate(names)]
        union = union_space(spaces)
        assert set(union.names) == {name.lower() for each in names for name in each}
        assert union.is_contiguous

    def test_the_ignored_is_no_class_of_the_union(self):
        assert "void" not in union_space([space("camvid-12"), space("cityscapes-19")]).names

    def test_more_than_255_classes(self):
        union = union_space([LabelSpace.from_names([f"n{i}" for i in range(300)])])
        assert union.ignore not in union.ids


class TestFindCache:
    def test_the_one_that_holds_it(self, camvid, cityscapes, tmp_path):
        top = tmp_path / "fast"
        for number, source in enumerate((cityscapes, camvid)):
            build_cache(source, "val", top / str(number), workers=0)
        assert find_cache(top, camvid, "val") == top / "1"
        assert find_cache(top / "1", camvid, "val") == top / "1"
        with pytest.raises(DataError, match=r"holds no cache of .*camvid"):
            find_cache(top, camvid, "train")
