import numpy as np
import pytest

from roadseg.data.sequences import find_sequences
from roadseg.data.synth import write_dataset
from roadseg.errors import DataError
from roadseg.labeling.motion import Copy, Dis, Known
from roadseg.labeling.propagation import Way, propagate, reachable
from roadseg.media import read_image, read_mask
from tests.fakes import save
from tests.labeling.films import IGNORE, SHIFT, sliding


def _film(root):
    return find_sequences(root / "images", root / "labels", space="cityscapes-19").sequences[0]


class _Constant:
    """The same flow everywhere, and a diary of the steps."""

    name = "constant"

    def __init__(self, dx=0.0, *, needs_before=False):
        self.dx, self.needs_before, self.seen = dx, needs_before, []

    def __call__(self, step):
        self.seen.append([file and int(file.stem) for file in step.files])
        return np.full((*step.target.shape[:2], 2), (self.dx, 0), dtype=np.float32)


def test_known_motion_gives_the_true_labels_on_both_sides(tmp_path):
    truths = sliding(tmp_path, frames=6, annotated=(2,))
    found = list(propagate(_film(tmp_path), 2, range(-5, 6), Way(Known())))
    assert [made.offset for made in found] == [0, 1, 2, 3, -1, -2]
    for made in found:
        assert made.number == 2 + made.offset
        inside = slice(max(0, -SHIFT * made.offset), 96 - max(0, SHIFT * made.offset))
        assert np.array_equal(made.label[:, inside], truths[made.number][:, inside])
        assert np.array_equal(made.image[:, inside], made.real[:, inside])
        assert np.array_equal(made.real, read_image(made.file))
        assert not made.occluded.any()


def test_only_wanted_offsets_in_the_order_they_are_made(tmp_path):
    sliding(tmp_path, frames=6, annotated=(2,))
    found = [made.offset for made in propagate(_film(tmp_path), 2, (-2, 3, 0, 1), Way(Copy()))]
    assert found == [0, 1, 3, -2]


def test_label_only_keeps_the_real_picture(tmp_path):
    sliding(tmp_path, frames=4, annotated=(1,))
    for made in propagate(_film(tmp_path), 1, (1, 2), Way(Copy(), mode="label-only")):
        assert np.array_equal(made.image, read_image(made.file))
        assert np.array_equal(made.label, read_mask(tmp_path / "labels" / "000001.png"))


def test_the_first_step_mixes_pixels_and_later_ones_do_not(tmp_path):
    sliding(tmp_path, frames=4, annotated=(0,))
    first, second, third = propagate(_film(tmp_path), 0, (1, 2, 3), Way(_Constant(0.5)))
    start = read_image(tmp_path / "images" / "000000.png").astype(float)
    mixed = (start[:, :-1] + start[:, 1:]) / 2
    assert np.abs(first.image[:, :-1] - mixed).max() <= 0.5
    assert np.array_equal(second.image[:, :-1], first.image[:, 1:])
    assert np.array_equal(third.image[:, :-2], first.image[:, 2:])
    assert set(np.unique(second.label)) <= set(np.unique(read_mask(tmp_path / "labels" / "000000.png")))


def test_motion_sees_three_real_frames(tmp_path):
    sliding(tmp_path, frames=5, annotated=(2,))
    motion = _Constant()
    list(propagate(_film(tmp_path), 2, (-1, 1, 2), Way(motion)))
    assert motion.seen == [[1, 2, 3], [2, 3, 4], [3, 2, 1]]
    motion.seen.clear()
    list(propagate(_film(tmp_path), 2, (2,), Way(motion, check=True)))
    assert motion.seen == [[1, 2, 3], [4, 3, 2], [2, 3, 4], [None, 4, 3]]


def test_motion_that_needs_a_frame_before_stops_where_there_is_none(tmp_path):
    sliding(tmp_path, frames=5, annotated=(0, 2))
    film, motion = _film(tmp_path), _Constant(needs_before=True)
    assert reachable(film, 0, (1, 2), Way(motion)) == ()
    assert reachable(film, 0, (1, 2), Way(Copy())) == (1, 2)
    assert reachable(film, 2, range(-3, 4), Way(motion)) == (-2, -1, 0, 1, 2)
    assert reachable(film, 2, range(-3, 4), Way(motion, check=True)) == (-1, 0, 1)


def test_occluded_pixels_are_ignored_and_stay_so(tmp_path):
    truths = sliding(tmp_path, frames=5, annotated=(1,))
    before = np.zeros((64, 96), dtype=np.bool_)
    for made in propagate(_film(tmp_path), 1, (1, 2, 3), Way(Known(), check=True, ignore=IGNORE)):
        assert made.occluded[:, 96 - SHIFT * made.offset :].all()
        assert not made.occluded[:, : 96 - SHIFT * made.offset].any()
        assert np.all(made.label[made.occluded] == IGNORE)
        kept = ~made.occluded
        assert np.array_equal(made.label[kept], truths[made.number][kept])
        assert not (before & ~made.occluded).any()
        before = made.occluded


def test_ends_are_passed_over_and_holes_are_refused(tmp_path):
    sliding(tmp_path, frames=7, annotated=(1, 5))
    (tmp_path / "images" / "000003.png").unlink()
    first, second = find_sequences(tmp_path / "images", tmp_path / "labels", space="cityscapes-19").sequences
    assert [made.offset for made in propagate(first, 1, (-3, 1), Way(Copy()))] == [1]
    with pytest.raises(DataError, match="no frames between the numbers 2 and 4"):
        list(propagate(first, 1, (2,), Way(Copy())))
    with pytest.raises(DataError, match="no frames between the numbers 2 and 4"):
        list(propagate(second, 5, (-2,), Way(Copy())))


def test_frames_and_labels_of_other_sizes(tmp_path):
    sliding(tmp_path, frames=4, annotated=(1,))
    save(tmp_path / "images" / "000003.png", np.zeros((32, 48, 3), dtype=np.uint8))
    film = _film(tmp_path)
    with pytest.raises(DataError, match=r"000003.png: is 48x32 but 000001.png of the same sequence is 96x64"):
        list(propagate(film, 1, (2,), Way(Copy())))
    save(tmp_path / "labels" / "000001.png", np.zeros((32, 48), dtype=np.uint8))
    with pytest.raises(DataError, match=r"is 48x32 but its frame 000001.png is 96x64"):
        list(propagate(film, 1, (1,), Way(Copy())))
    with pytest.raises(DataError, match="frame 0 has no labels"):
        list(propagate(film, 0, (1,), Way(Copy())))


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A rendered clip with the truth of every frame."""
    root = tmp_path_factory.mktemp("street")
    write_dataset(
        root,
        "camvid",
        images=0,
        sequences=1,
        frames_per_sequence=5,
        size=(64, 96),
        splits={"train": 1.0},
        seed=3,
    )
    return find_sequences(root).sequences[0]


def _accuracy(street, way):
    hits = [
        (made.label == read_mask(street.labels[made.number]))[made.label != way.ignore]
        for made in propagate(street, 2, range(-2, 3), way)
    ]
    return np.concatenate(hits).mean()


def _contrast(street, way):
    """How much of the pictures' variance the classes of their labels explain."""
    shares = []
    for made in propagate(street, 2, range(-2, 3), way):
        pixels, labels = made.image.reshape(-1, 3).astype(float), made.label.ravel()
        within = sum(
            ((part := pixels[labels == c]) - part.mean(0)).__pow__(2).sum() for c in np.unique(labels)
        )
        shares.append(1 - within / ((pixels - pixels.mean(0)) ** 2).sum())
    return np.mean(shares)


def test_on_rendered_streets_known_motion_beats_copying_and_the_check_helps(street):
    copied, known, checked = (
        _accuracy(street, way)
        for way in (Way(Copy(), ignore=11), Way(Known(), ignore=11), Way(Known(), check=True, ignore=11))
    )
    assert copied < known < checked
    assert checked > 0.9


def test_moved_pictures_fit_moved_labels_better_than_real_ones(street):
    for motion in (Copy(), Dis()):
        joint, label_only = (_contrast(street, Way(motion, mode)) for mode in ("joint", "label-only"))
        assert joint > label_only
