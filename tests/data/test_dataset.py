import numpy as np
import pytest
import torch

from roadseg.data import Draw, MixedDataset, RoadDataset, Sample, decode, open_source
from roadseg.data.stages import Stopwatch
from roadseg.errors import DataError
from tests.fakes import fake_camvid, fake_cityscapes, save


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return open_source(fake_camvid(tmp_path_factory.mktemp("camvid")))


def noted(sample: Sample, center: tuple[int, int] | None = None) -> Sample:
    """A transform that writes what it was given, and a random number, into the mask."""
    x, y = center or (0, 0)
    return sample._replace(mask=torch.tensor([x, y, int(torch.randint(1 << 30, ()))]))


def test_a_sample_depends_on_its_draw_alone(source):
    dataset = RoadDataset(source, "train", noted)
    state = torch.random.get_rng_state()
    first = dataset[Draw(1, 7)]
    assert torch.equal(torch.random.get_rng_state(), state)
    dataset[Draw(2, 8)]
    assert torch.equal(dataset[Draw(1, 7)].mask, first.mask)
    assert not torch.equal(dataset[Draw(1, 8)].mask, first.mask)


def test_the_center_of_a_draw_reaches_the_transform(source):
    dataset = RoadDataset(source, "train", noted)
    assert dataset[Draw(0, 1, (3, 4))].mask[:2].tolist() == [3, 4]
    assert dataset[Draw(0, 1)].mask[:2].tolist() == [0, 0]
    mixed = MixedDataset(dataset, dataset)
    assert mixed[Draw(9, 1, (3, 4))].mask[:2].tolist() == [3, 4]


def test_mixed_positions_go_through_the_data_sets(source):
    parts = [RoadDataset(source, split) for split in ("train", "val", "test")]
    mixed = MixedDataset(*parts)
    assert len(mixed) == 12
    keys = [record.key for part in parts for record in part.records]
    assert [mixed[Draw(position, 0)].key for position in range(12)] == keys
    for position in (-1, 12):
        with pytest.raises(IndexError, match=f"position {position} of 12"):
            mixed[Draw(position, 0)]


def test_mixed_data_sets_share_a_label_space(source, tmp_path):
    other = open_source(fake_cityscapes(tmp_path))
    camvid = RoadDataset(source, "train")
    with pytest.raises(
        DataError, match=r"labels are in cityscapes-19, but those of .* in camvid-11; translate them all"
    ):
        MixedDataset(camvid, camvid, RoadDataset(other, "train"))


def test_stages_are_counted(source):
    watch = Stopwatch()
    RoadDataset(source, "train", noted).load(Draw(0, 0), watch)
    assert list(watch.seconds) == ["decode", "relabel", "transform"]
    assert all(value > 0 for value in watch.seconds.values())


def test_decoded_images_lie_as_they_were_stored(source):
    sample = decode(source, source.find("train")[0])
    assert sample.image.shape == (3, 12, 16)
    assert sample.image.permute(1, 2, 0).is_contiguous()
    assert sample.image.dtype == sample.mask.dtype == torch.uint8


def test_an_image_and_a_mask_of_different_sizes(tmp_path):
    source = open_source(fake_camvid(tmp_path))
    record = source.find("train")[0]
    save(record.label, np.zeros((12, 15), np.uint8))
    with pytest.raises(DataError, match=rf"is 15x12 but its image {record.image.name} is 16x12; resize"):
        decode(source, record)
    with pytest.raises(DataError, match="has no label file"):
        decode(source, record._replace(label=None))
