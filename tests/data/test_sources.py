"""Opening: by path, by name, and what is said when nothing fits."""

from pathlib import Path

import pytest

from roadseg.data.sources import open_source
from roadseg.errors import DataError
from tests import fakes
from tests.write_dataset_table import FILE as TABLE
from tests.write_dataset_table import page


def test_path_may_be_text_or_path(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    assert open_source(tmp_path).name == open_source(str(tmp_path)).name == "camvid"


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.fake_camvid(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert open_source("~/data").root == tmp_path / "data"
    assert open_source("camvid:~/data").root == tmp_path / "data"


def test_data_yaml_comes_before_the_folders_beside_it(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    fakes.fake_yaml(tmp_path)
    assert open_source(tmp_path).name == "yaml"
    assert open_source(f"camvid:{tmp_path}").name == "camvid"


@pytest.mark.parametrize("spec", ["", "  "])
def test_no_data_set(spec: str) -> None:
    with pytest.raises(DataError, match=r"no data set was given; give a folder, a data.yaml, or NAME:PATH"):
        open_source(spec)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nowhere: does not exist; give the path of a data set: CamVid, City"
    ):
        open_source(tmp_path / "nowhere")


def test_name_without_path() -> None:
    with pytest.raises(DataError, match=r"'camvid:' has no path; give camvid:PATH"):
        open_source("camvid:")


def test_unknown_name_suggests_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'cityscape' is not a kind of data set; did you mean cityscapes:"):
        open_source(f"cityscape:{tmp_path}")
    with pytest.raises(
        DataError, match=r"'zebra' is not a kind of data set; known are subset, yaml, camvid, .*cityscapes, "
    ):
        open_source(f"zebra:{tmp_path}")


def test_drive_letter_is_no_name() -> None:
    with pytest.raises(DataError, match=r"^C:.data: does not exist"):
        open_source("C:\\data")


def test_folder_with_a_colon(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path / "day:1")
    assert open_source(tmp_path / "day:1").name == "camvid"


def test_nothing_fits_says_what_was_looked_for(tmp_path: Path) -> None:
    fakes.save(tmp_path / "photos" / "a.png", fakes.picture("a"))
    with pytest.raises(DataError) as caught:
        open_source(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: holds no data set that roadseg knows; looked for")
    for part in ("data.yaml", "images/ + masks/", "camvid, ", "cityscapes, ", "`roadseg data setup NAME`"):
        assert part in text
    assert len(text) < 600  # one sentence, however many layouts there are


def test_a_photo_is_no_data_set(tmp_path: Path) -> None:
    photo = fakes.save(tmp_path / "a.png", fakes.picture("a"))
    with pytest.raises(DataError, match=r"a.png: holds no data set that roadseg knows"):
        open_source(photo)


def test_named_layout_that_does_not_fit_looks_for_that_one_only(tmp_path: Path) -> None:
    fakes.fake_camvid(tmp_path)
    with pytest.raises(DataError, match=r"is no cityscapes data set; looked for leftImg8bit/") as caught:
        open_source(f"cityscapes:{tmp_path}")
    assert "trainannot" not in str(caught.value)


def test_one_folder_too_high_is_pointed_down(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    fakes.fake_camvid(tmp_path / "CamVid")
    with pytest.raises(DataError, match=r"there is one in .*CamVid: give that path"):
        open_source(tmp_path)


def test_damaged_neighbor_does_not_hide_the_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data.yaml").write_text("names: [", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds no data set that roadseg knows"):
        open_source(tmp_path)


def test_table_of_data_sets_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == page(), "run python -m tests.write_dataset_table"
