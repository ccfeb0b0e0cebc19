import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Draw
from roadseg.data.triplets import Triplets, find_videos
from roadseg.errors import DataError
from roadseg.media import read_image, write_image
from tests.videos import panned, texture

SIZE = (24, 32)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return find_videos(panned(tmp_path_factory.mktemp("videos"), {"train": 2}, size=SIZE), "train")


def places(target, source):
    """A flow that says where each pixel lies, and which frames it is of."""
    rows, columns = np.mgrid[: target.shape[0], : target.shape[1]]
    return np.stack([columns, rows], axis=-1).astype(np.float32)


def test_every_three_frames_in_a_row_are_a_triplet(videos):
    triplets = Triplets(videos)
    assert len(triplets) == 2 * (5 - 2)
    sample = triplets[4]
    assert sample.key.endswith("000003")
    assert "clip_000001" in sample.key
    assert sample.flows.shape == (0, 2, *SIZE)
    expected = [read_image(path) for path in videos[1].frames[1:4]]
    assert np.array_equal(sample.frames.permute(0, 2, 3, 1).numpy(), np.stack(expected))
    with pytest.raises(IndexError):
        triplets[6]


def test_flow_leads_from_each_frame_to_the_one_before(videos):
    def brightness(target, source):
        return np.full((*target.shape[:2], 2), [target.mean(), source.mean()], np.float32)

    sample = Triplets(videos, flow_between=brightness, flows=2)[0]
    means = sample.frames.float().mean(dim=(1, 2, 3))
    assert torch.allclose(sample.flows[0, :, 0, 0], means[[1, 0]])
    assert torch.allclose(sample.flows[1, :, 0, 0], means[[2, 1]])
    backward = Triplets(videos, reverse=1.0, flow_between=brightness)[Draw(0, seed=5)]
    assert torch.allclose(backward.flows[0, :, 0, 0], means[[1, 2]])
    assert torch.equal(backward.frames, sample.frames.flip(0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), flip=st.sampled_from([0.0, 1.0]))
def test_frames_and_flow_are_cut_and_mirrored_together(videos, seed, flip):
    triplets = Triplets(videos, crop=(10, 12), flip=flip, flow_between=places)
    sample = triplets[Draw(2, seed)]
    assert sample.frames.shape == (3, 3, 10, 12)
    whole = triplets[2].frames
    columns, rows = sample.flows[0].long()
    columns = -columns if flip else columns  # what lay to the left lies to the right in a mirror
    assert torch.equal(sample.frames, whole[:, :, rows, columns])
    again = triplets[Draw(2, seed)]
    assert all(torch.equal(one, other) for one, other in zip(sample[:2], again[:2], strict=True))


def test_other_seeds_give_other_crops(videos):
    triplets = Triplets(videos, crop=(10, 12))
    crops = {triplets[Draw(0, seed)].frames.numpy().tobytes() for seed in range(8)}
    assert len(crops) > 4


@pytest.mark.parametrize("folder", ["leftImg8bit_sequence/val/city", "val", "val/deep/clip"])
def test_videos_need_no_labels(tmp_path, folder):
    for number in range(4):
        write_image(tmp_path / folder / f"city_{number:06d}_leftImg8bit.png", texture(number, SIZE))
    (found,) = find_videos(tmp_path, "val")
    assert found.numbers == (0, 1, 2, 3)


def test_videos_lie_in_linked_folders_too_and_in_no_hidden_ones(tmp_path):
    for number in range(3):
        for folder in ("elsewhere/clip", "val/.trash"):
            write_image(tmp_path / folder / f"{number}.png", texture(number, SIZE))
    (tmp_path / "val" / "linked").symlink_to(tmp_path / "elsewhere")
    assert [found.name for found in find_videos(tmp_path, "val")] == ["linked/clip/0"]


def test_a_folder_can_be_its_own_split(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", texture(number, SIZE))
    assert len(Triplets(find_videos(tmp_path, "."))) == 1


def test_what_is_wrong_is_told(tmp_path, videos):
    with pytest.raises(DataError, match="no videos of split 'test'"):
        find_videos(tmp_path, "test")
    for number, size in enumerate([SIZE, SIZE, (24, 40)]):
        write_image(tmp_path / "test" / f"{number}.png", texture(number, size))
    with pytest.raises(DataError, match=r"is 40x24, but 0\.png before it is 32x24"):
        Triplets(find_videos(tmp_path, "test"))[0]
    with pytest.raises(DataError, match="smaller than crops of 99x10"):
        Triplets(videos, crop=(10, 99))[Draw(0, 1)]
    write_image(tmp_path / "val" / "1.png", texture(0, SIZE))
    with pytest.raises(DataError, match="none of 1 sequences"):
        Triplets(find_videos(tmp_path, "val"))
