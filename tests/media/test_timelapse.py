import numpy as np
import pytest

from roadseg.labels import LabelSpace, space
from roadseg.media import Prediction
from roadseg.media.timelapse import TimelapseLayout, caption_bar, class_bar
from tests.fakes import picture, stripes

SPACE = space("cityscapes-19")


def prediction(size):
    return Prediction(stripes([0, 10, 13], size), SPACE, image=picture("photo", size))


def test_frames_have_legend_photo_blend_and_caption():
    size = (512, 1024)
    made = prediction(size)
    frame = TimelapseLayout(SPACE, size).compose(made, "City: berlin")
    assert frame.shape == (2 * 25 + 512 + 25, 2048, 3)  # as in the original, at half its size
    assert (frame[50:562, :1024] == made.image).all()
    blend = 0.4 * made.image + 0.6 * made.colorize()
    assert np.abs(frame[50:562, 1024:] - blend).max() < 1
    assert (frame[562:, -100:] == 100).all()
    assert (frame[562:] > 200).any()


def test_the_original_size():
    frame = TimelapseLayout(SPACE, (1024, 2048)).compose(prediction((1024, 2048)), "x")
    assert frame.shape == (1174, 4096, 3)


def test_the_legend_has_the_classes_in_two_rows_of_cells():
    bar = class_bar(SPACE, 4096)
    assert bar.shape == (100, 4096, 3)
    for i, item in enumerate(SPACE.classes):
        row, column = divmod(i, 10)
        corner = bar[row * 50 + 2, column * 4096 // 10 + 3]
        assert corner.tolist() == list(item.color)
    assert (bar[20:30] == 255).all(axis=2).any()  # white names


def test_names_are_readable_on_light_colors():
    light = class_bar(LabelSpace.from_json(_one_class((250, 250, 200))), 400)
    assert (light < 90).all(axis=2).any()
    dark = class_bar(LabelSpace.from_json(_one_class((20, 20, 60))), 400)
    assert (dark > 200).all(axis=2).any()


def _one_class(color):
    return {"name": "one", "ignore": 255, "classes": [{"name": "road", "id": 0, "color": list(color)}]}


def test_many_classes_take_more_rows():
    many = LabelSpace.from_names([f"class {i}" for i in range(60)])
    bar = class_bar(many, 600)
    assert bar.shape[1] == 600
    assert bar.shape[0] > 2 * 18


@pytest.mark.parametrize(
    ("legend", "caption", "height"), [(False, False, 48), (True, False, 84), (False, True, 66)]
)
def test_parts_can_be_left_out(legend, caption, height):
    few = LabelSpace.from_names(["road", "car"])
    layout = TimelapseLayout(few, (48, 64), legend, caption)
    made = Prediction(stripes([0, 1], (48, 64)), few, image=picture("photo", (48, 64)))
    assert layout.compose(made, "x").shape == (height, 128, 3)


@pytest.mark.parametrize("size", [(24, 32), (100, 64), (48, 200), (3, 900)])
def test_pictures_of_other_sizes_are_fitted(size):
    layout = TimelapseLayout(SPACE, (48, 64), legend=False, caption=False)
    frame = layout.compose(prediction(size))
    assert frame.shape == (48, 128, 3)
    factor = min(48 / size[0], 64 / size[1])
    covered = (frame[:, :64] > 0).any(axis=2).mean()
    assert covered <= min(1, round(size[0] * factor + 1) * round(size[1] * factor + 1) / (48 * 64))
    assert (frame[22:26, 28:36] > 0).any()


@pytest.mark.parametrize("text", ["", "Füße 日本 🚗", "long " * 200])
def test_captions_of_any_text(text):
    assert caption_bar(text, 500).shape == (18, 500, 3)


def test_a_prediction_without_its_picture_is_an_error():
    bare = Prediction(stripes([0], (8, 8)), SPACE)
    with pytest.raises(ValueError, match="carry their picture"):
        TimelapseLayout(SPACE, (8, 8)).compose(bare)
