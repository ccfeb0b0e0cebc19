import pytest

from tests.fakes import picture, save
from tests.films import read

SIZE = (48, 64)


@pytest.fixture
def photos(tmp_path):
    """Photos of two cities, in Cityscapes' manner, and one of no city."""
    for city in ("berlin", "bonn"):
        for i in range(3):
            name = f"{city}_00000{i}_000019_leftImg8bit.png"
            save(tmp_path / "photos" / city / name, picture(name, SIZE))
    save(tmp_path / "photos" / "Straße 日本.jpg", picture("street", SIZE))
    return tmp_path / "photos"


@pytest.mark.usefixtures("bundled")
def test_a_folder_becomes_a_film(run, photos):
    result = run("timelapse", photos, "-o", "out.mp4", "--fps", 4, "--count", 5, "--legend", "--caption")
    assert result.code == 0, result.err
    assert "5 photos" in result.out
    frames, times = read("out.mp4")
    assert [float(seconds) for seconds in times] == [0, 0.25, 0.5, 0.75, 1]
    assert frames[0].shape[1] == 2 * SIZE[1]
    assert frames[0].shape[0] > SIZE[0] + 2 * 18


@pytest.mark.usefixtures("bundled")
def test_only_a_city_and_all_of_it(run, photos):
    result = run("timelapse", photos, "--count", 0, "--city", "Bonn", "--no-legend", "--no-caption", "--json")
    assert result.json["frames"] == 3
    assert (result.json["height"], result.json["width"]) == (48, 128)
    assert result.json["fps"] == 2
    assert len(read("timelapse.mp4")[0]) == 3


@pytest.mark.usefixtures("bundled")
def test_photos_of_several_sizes_and_one_that_is_none(run, photos):
    save(photos / "berlin" / "berlin_9.png", picture("tall", (90, 30)))
    (photos / "berlin" / "berlin_8.png").write_bytes(b"no picture")
    result = run("timelapse", photos, "-o", "out.mp4", "--city", "berlin", "--json")
    assert result.code == 1
    assert result.json["frames"] == 4
    assert len(result.json["failed"]) == 1
    assert "berlin_8.png" in result.err
    assert len(read("out.mp4")[0]) == 4


@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--city", "paris"], "no photo of paris"),
        (["--fps", "0"], "--fps is 0"),
        (["--count", "-1"], "--count is -1"),
        (["--alpha", "2"], "--alpha is 2"),
        (["-o", "film.avi"], "end in .mp4"),
        (["--to", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(run, photos, arguments, says):
    result = run("timelapse", photos, *arguments)
    assert result.code == 2
    assert says in result.sentence


@pytest.mark.usefixtures("bundled")
def test_a_folder_of_broken_photos_leaves_no_film(run, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    result = run("timelapse", tmp_path / "photos", "-o", tmp_path / "out.mp4")
    assert result.code == 2
    assert "a.png" in result.sentence
    assert [path.name for path in tmp_path.glob("*.mp4")] == []


@pytest.mark.usefixtures("bundled")
def test_a_place_that_cannot_be_written_to_is_named(run, photos, tmp_path):
    (tmp_path / "file").touch()
    result = run("timelapse", photos, "-o", tmp_path / "file" / "out.mp4")
    assert result.code == 2
    assert "file" in result.sentence


def test_frames_of_camvid(run, shared, tmp_path):
    folder = shared / "data" / "camvid" / "test"
    if not folder.is_dir():
        pytest.skip("needs CamVid in the reference data")
    result = run("timelapse", folder, "-o", tmp_path / "camvid.mp4", "--count", 4, "--json", "--quiet")
    assert result.code == 0, result.err
    frames, _ = read(tmp_path / "camvid.mp4")
    assert len(frames) == 4
    assert frames[0].shape == (414, 960, 3)
