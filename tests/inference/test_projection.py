"""Predictions in other classes: sums of probabilities, done directly beside what `Predictor.to` gives."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.inference import (
    Bounded,
    Flip,
    MultiScale,
    Predictor,
    Probabilities,
    Sliding,
    WeightsCard,
    Whole,
    normalize,
)
from roadseg.inference.maps import score
from roadseg.inference.predictor import label_ids
from roadseg.inference.strategies import projection_of
from roadseg.inference.stream import stream
from roadseg.labels import Class, LabelMap, LabelSpace, label_map, space
from roadseg.media.video import Frame
from roadseg.recipes import Preprocess
from tests.tiny import tiny

SIZE = (37, 53)
PLAIN = Preprocess()


def predictor_of(labels, strategy=None, seed=0):
    torch.manual_seed(seed)
    model = tiny(labels.num_classes)
    with torch.no_grad():
        model.head.weight.mul_(8)  # random networks are undecided: nothing would ever win
    card = WeightsCard(model="tests.tiny:tiny", space=labels, preprocess=PLAIN)
    return Predictor(model, card, device="cpu", strategy=strategy)


def pixels(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@torch.inference_mode()
def chances(predictor, image, size=None):
    """Probabilities ``[C, H, W]`` the plain way: whole image, upsampled logits, softmax."""
    batch = normalize(torch.from_numpy(image).permute(2, 0, 1)[None], PLAIN)
    if size is not None:
        batch = F.interpolate(batch, size, mode="bilinear", align_corners=False)
    return run(predictor.model, batch)


def run(model, batch):
    height, width = batch.shape[-2:]
    full = F.pad(batch, (0, -width % 4, 0, -height % 4), mode="replicate")
    logits = F.interpolate(model(full).logits, full.shape[-2:], mode="bilinear", align_corners=False)
    return logits[0, :, :height, :width].softmax(0)


def assert_won(prediction, sums, found, tolerance=1e-4):
    """The labels are the best sums, but where two are alike up to rounding."""
    best = sums.topk(2, 0).values
    clear = (best[0] - best[1] > tolerance).numpy()
    ids = np.array([found.target.stored_id(number) for number in found.target.ids])
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(prediction.labels[clear], ids[sums.argmax(0).numpy()][clear])
    assert prediction.space == found.target
    assert prediction.labels.dtype == found.target.dtype


@st.composite
def maps(draw):
    """From a space that a network can predict to one with gaps between its ids."""
    source = LabelSpace.from_names([f"s{i}" for i in range(draw(st.integers(2, 40)))])
    count = draw(st.integers(2, 6))
    ids = draw(st.lists(st.integers(0, 300), min_size=count, max_size=count, unique=True))
    classes = tuple(Class(f"t{i}", number, (i, i, i)) for i, number in enumerate(ids))
    target = LabelSpace("target", classes, ignore=301)
    wanted = draw(
        st.lists(
            st.sampled_from([*target.names, None]), min_size=len(source.names), max_size=len(source.names)
        )
    )
    wanted[:2] = target.names[:2]
    return LabelMap.by_name(source, target, dict(zip(source.names, wanted, strict=True)))


@given(maps(), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_sums_win_whatever_the_map(found, seed):
    own = predictor_of(found.source, seed=seed)
    image = pixels(seed)
    sums = torch.from_numpy(found.project(chances(own, image).numpy()))
    prediction = own.to(found)(image, confidence=True)
    assert_won(prediction, sums, found)
    np.testing.assert_allclose(prediction.confidence, sums.amax(0).numpy(), atol=1e-5)


@pytest.mark.parametrize("target", ["cityscapes-19", "camvid-11"])
def test_the_universal_taxonomy_becomes_that_of_a_data_set(target):
    own = predictor_of(space("mseg-194"))
    found = label_map("mseg-194", target)
    sums = torch.from_numpy(found.project(chances(own, pixels()).numpy()))
    for strategy in (Whole(), Bounded()):
        own.strategy = strategy
        assert_won(own.to(target)(pixels()), sums, found)
    assert own.space == space("mseg-194")
    assert projection_of(own.strategy) is None


def test_views_are_averaged_after_the_sums():
    found = label_map("mseg-194", "cityscapes-19")
    own = predictor_of(found.source)
    image = pixels()
    sizes = [(round(0.5 * SIZE[0]), round(0.5 * SIZE[1])), SIZE]
    mean = torch.zeros(19, *SIZE)
    for size in sizes:
        for mirrored in (False, True):
            view = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
            sums = torch.from_numpy(found.project(chances(own, view, size).numpy()))
            full = F.interpolate(sums[None], SIZE, mode="bilinear", align_corners=False)[0]
            mean += (full.flip(-1) if mirrored else full) / 4
    # `Flip` mirrors the image, not what extends it: sides that need no extension are compared.
    own.strategy = MultiScale((0.5, 1.0), flip=True)
    prediction = own.to(found)(image, confidence=True)
    assert np.abs(prediction.confidence - mean.amax(0).numpy()).mean() < 0.02
    agree = prediction.labels == mean.argmax(0).numpy()
    assert agree.mean() > 0.9


def test_mirror_images_are_averaged_after_the_sums():
    found = label_map("mseg-194", "cityscapes-19")
    own = predictor_of(found.source, Flip())
    image = pixels(size=(36, 52))
    mirrored = chances(own, np.ascontiguousarray(image[:, ::-1])).flip(-1)
    sums = torch.from_numpy(found.project(((chances(own, image) + mirrored) / 2).numpy()))
    prediction = own.to(found)(image, confidence=True)
    assert_won(prediction, sums, found)
    np.testing.assert_allclose(prediction.confidence, sums.amax(0).numpy(), atol=1e-5)


def test_windows_are_averaged_after_the_sums():
    found = label_map("mseg-194", "cityscapes-19")
    plan = Sliding(24, stride=16)
    own = predictor_of(found.source, plan)
    image = pixels(size=(40, 56))
    total, count = torch.zeros(19, 40, 56), torch.zeros(40, 56)
    for y, x in plan.windows((40, 56)):
        part = chances(own, np.ascontiguousarray(image[y : y + 24, x : x + 24]))
        total[:, y : y + 24, x : x + 24] += torch.from_numpy(found.project(part.numpy()))
        count[y : y + 24, x : x + 24] += 1
    prediction = own.to(found)(image, confidence=True)
    assert_won(prediction, total / count, found)
    np.testing.assert_allclose(prediction.confidence, (total / count).amax(0).numpy(), atol=1e-5)


def test_what_was_dropped_is_not_shared_out():
    names = LabelSpace.from_names(["road", "car", "tree", "cat"])
    rest = LabelSpace.from_names(["road", "car"])
    own = predictor_of(names)
    full = chances(own, pixels())
    scored = score(own.to(rest), [pixels()])[0]
    found = scored.probabilities(full=True).astype(np.float32)
    np.testing.assert_allclose(found, full[:2].numpy(), atol=1e-3)
    np.testing.assert_allclose(scored.decode(confidence=True).confidence[0], full[:2].amax(0), atol=1e-5)
    outcomes = torch.cat([full[:2], full[2:].sum(0, keepdim=True)])
    expected = torch.special.entr(outcomes).sum(0) / np.log(3)
    np.testing.assert_allclose(scored.entropy(), expected.numpy(), atol=1e-4)


def test_entropy_is_that_of_the_classes_that_can_occur():
    own = predictor_of(space("cityscapes-19"))
    official = own.to("cityscapes")
    expected = score(own, [pixels()])[0].entropy()
    np.testing.assert_allclose(score(official, [pixels()])[0].entropy(), expected, atol=1e-4)


def test_sums_of_sums():
    own = predictor_of(space("mseg-194"), Bounded())
    first, then = label_map("mseg-194", "cityscapes-19"), label_map("cityscapes-19", "camvid-11")
    twice = own.to(first).to(then)
    assert twice.strategy == Bounded(inner=Probabilities(Whole(), first.then(then)))
    once = own.to(first.then(then))
    np.testing.assert_array_equal(twice(pixels()).labels, once(pixels()).labels)
    assert twice.space == space("camvid-11")


def test_to_the_own_space_is_the_same_way():
    own = predictor_of(space("camvid-11"), Flip())
    assert own.to("camvid-11").strategy == Flip()
    with pytest.raises(
        LabelError, match="a map from cityscapes-19 cannot translate predictions of camvid-11"
    ):
        own.to(label_map("cityscapes-19", "camvid-11"))
    with pytest.raises(LabelError, match="unknown label space 'cityscape'"):
        own.to("cityscape")


def test_ids_of_channels():
    odd = LabelSpace("odd", (Class("a", 7, (0, 0, 0)), Class("b", -1, (1, 1, 1))), ignore=9)
    found = label_ids(torch.tensor([[0, 1]], dtype=torch.uint8), odd)
    assert (found.tolist(), found.dtype) == ([[7, 255]], np.uint8)
    many = LabelSpace.from_names([f"c{i}" for i in range(300)])
    found = label_ids(torch.tensor([[0, 299]], dtype=torch.int16), many)
    assert (found.tolist(), found.dtype) == ([[0, 299]], np.uint16)


def test_more_classes_than_bytes_count():
    prediction = predictor_of(LabelSpace.from_names([f"c{i}" for i in range(300)]))(pixels())
    assert prediction.labels.dtype == np.uint16


def test_a_film_is_smoothed_before_it_is_summed():
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    own = predictor_of(space("mseg-194"), Bounded())
    frames = [Frame(pixels(i, (36, 52)), Fraction(i, 25)) for i in range(3)]
    plain = [result.memory.scores[0] for result in stream(own, frames, smooth=0.5)]
    summed = list(stream(own.to("cityscapes-19"), frames, smooth=0.5))
    found = label_map("mseg-194", "cityscapes-19")
    for scores, result in zip(plain, summed, strict=True):
        torch.testing.assert_close(result.memory.scores[0], scores)
        full = F.interpolate(scores, (36, 52), mode="bilinear", align_corners=False)[0].softmax(0)
        assert_won(result.prediction, torch.from_numpy(found.project(full.numpy())), found)


@pytest.mark.parametrize("target", ["cityscapes-19", "voc-21", "camvid-11"])
@pytest.mark.parametrize(
    "strategy",
    [Whole(), Bounded(), Probabilities(Whole()), Probabilities(MultiScale((0.5, 1.0), flip=True))],
    ids=str,
)
def test_labels_alone_are_those_of_all_probabilities(strategy, target):
    own = predictor_of(space("mseg-194"), strategy)
    other = own.to(target)
    if isinstance(strategy, Probabilities):
        other.strategy = Probabilities(strategy.inner, label_map("mseg-194", target))
    assert other.sums_at_end(SIZE) == label_map("mseg-194", target)
    alone, sure = other(pixels()), other(pixels(), confidence=True)
    assert (alone.labels == sure.labels).mean() > 0.999
    scored = score(other, [pixels()])[0]
    np.testing.assert_array_equal(label_ids(scored.decode().labels[0], other.space), alone.labels)
    decoded = scored.decode(confidence=True)
    np.testing.assert_array_equal(label_ids(decoded.labels[0], other.space), sure.labels)
    np.testing.assert_allclose(decoded.confidence[0].numpy(), sure.confidence, atol=1e-5)


def test_sums_that_are_stretched_are_taken_where_the_network_sees_them():
    card = WeightsCard(model="x:y", space=space("mseg-194"), preprocess=Preprocess(size=(36, 52)))
    other = Predictor(tiny(194), card, device="cpu").to("cityscapes-19")
    assert other.sums_at_end((36, 52)) is not None
    assert other.sums_at_end(SIZE) is None
    alone, sure = other(pixels()), other(pixels(), confidence=True)
    np.testing.assert_array_equal(alone.labels, sure.labels)
    assert (
        Predictor(tiny(194), card, device="cpu", strategy=Flip()).to("voc-21").sums_at_end((36, 52)) is None
    )
