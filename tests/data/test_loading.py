import gc
import multiprocessing
import os
import pickle
import signal

import pytest
import torch

from roadseg.data import Draw, MixedDataset, RoadDataset, Sample, open_source
from roadseg.data.loading import training_loader
from roadseg.data.workers import (
    choose_context,
    choose_prefetch,
    default_workers,
    most_workers,
    prepare_worker,
)
from roadseg.errors import ImageError, RecipeError, RoadsegError
from tests.fakes import fake_camvid

SAMPLER = [[Draw(step, 2 * step), Draw(step + 1, 2 * step + 1, (3, 4))] for step in range(4)]


class Noise:
    """A transform that depends on the draw."""

    def __call__(self, sample: Sample, center: tuple[int, int] | None = None) -> Sample:
        noise = torch.randint(256, sample.image.shape, dtype=torch.uint8)
        return sample._replace(image=sample.image ^ noise, mask=sample.mask + sum(center or ()))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    source = open_source(fake_camvid(tmp_path_factory.mktemp("camvid")))
    return MixedDataset(RoadDataset(source, "train", Noise()), RoadDataset(source, "val", Noise()))


def batches(dataset, **options):
    with training_loader(dataset, SAMPLER, **options) as loader:
        return list(loader)


@pytest.mark.parametrize(("workers", "start"), [(1, "fork"), (2, "fork"), (1, "forkserver"), (1, "spawn")])
def test_processes_change_nothing(dataset, workers, start):
    alone = batches(dataset, workers=0)
    together = batches(dataset, workers=workers, start=start)
    assert len(alone) == len(together) == 4
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.mask, other.mask)
        assert one.key == other.key
    assert alone[0].image.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 1])
def test_times_of_all_stages(dataset, workers):
    with training_loader(dataset, SAMPLER, workers=workers) as loader:
        assert len(loader) == 4
        for number, _ in enumerate(loader):
            if number == 1:
                first = loader.take_times()
        second = loader.take_times()
    assert (first.batches, second.batches) == (2, 2)
    stages = {"decode", "relabel", "transform", "collate", "waiting", "transfer", "compute"}
    assert set(first.seconds) == set(second.seconds) == stages
    assert loader.take_times().seconds == {}


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_keeps_its_sentence(tmp_path, workers):
    source = open_source(fake_camvid(tmp_path))
    dataset = RoadDataset(source, "train")
    broken = dataset.records[3].image
    broken.write_bytes(b"")
    with (
        pytest.raises(ImageError, match=rf"^{broken}: is empty \(0 bytes\); copy or download it again$"),
        training_loader(dataset, SAMPLER, workers=workers) as loader,
    ):
        list(loader)


def load_and_kill(dataset):
    with training_loader(dataset, SAMPLER * 20, workers=1) as loader:
        for _ in loader:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)


# torch's own clean-up may notice the death a second time.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_process_is_explained(dataset):
    with pytest.raises(
        RoadsegError, match="a loader process was killed, probably because memory ran out; use fewer"
    ):
        load_and_kill(dataset)
    gc.collect()


def test_other_errors_pass_the_loader(dataset):
    with pytest.raises(RuntimeError, match="mine"), training_loader(dataset, SAMPLER, workers=0):
        raise RuntimeError("mine")


def test_too_little_shared_memory_is_found_before(dataset, monkeypatch):
    monkeypatch.setattr("roadseg.data.workers.shared_memory", lambda: 4000)
    with pytest.raises(
        RecipeError, match=r"9 loader processes need .* of shared memory.*--workers 1 fits; .*--shm-size"
    ):
        training_loader(dataset, SAMPLER, workers=9)
    assert len(batches(dataset, workers=0)) == 4


@pytest.mark.parametrize(("free", "prefetch"), [(None, 2), (900, 2), (899, 1), (500, 1)])
def test_less_is_prepared_ahead_where_memory_is_short(monkeypatch, free, prefetch):
    monkeypatch.setattr("roadseg.data.workers.shared_memory", lambda: free)
    assert choose_prefetch(4, 100) == prefetch


@pytest.mark.parametrize(("free", "prefetch"), [(1800, 2), (1799, 1), (1000, 1)])
def test_processes_on_one_machine_share_its_memory(monkeypatch, free, prefetch):
    monkeypatch.setattr("roadseg.data.workers.shared_memory", lambda: free)
    assert choose_prefetch(4, 100, processes=2) == prefetch


def test_what_fits_for_one_process_is_too_much_for_several(dataset, monkeypatch):
    monkeypatch.setattr("roadseg.data.workers.shared_memory", lambda: 4000)
    with pytest.raises(RecipeError, match="for each of 2 training processes; --workers 0 fits"):
        training_loader(dataset, SAMPLER, workers=1, processes=2)


def test_not_even_one_batch_fits(monkeypatch):
    monkeypatch.setattr("roadseg.data.workers.shared_memory", lambda: 50)
    with pytest.raises(RecipeError, match="--workers 0 fits"):
        choose_prefetch(4, 100)


def test_processes_start_afresh_once_cuda_is_in_use(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: False)
    assert choose_context().get_start_method() == "fork"
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    assert choose_context().get_start_method() == "forkserver"
    monkeypatch.setattr("sys.platform", "darwin")
    assert choose_context().get_start_method() == "spawn"


def test_numbers_of_processes(monkeypatch):
    monkeypatch.setattr("roadseg.data.workers._cores", lambda: 12)
    assert [default_workers(processes) for processes in (1, 2, 4, 12, 99)] == [8, 5, 2, 1, 1]
    assert most_workers() == 8


def test_a_worker_leaves_interrupts_to_others():
    before, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    try:
        prepare_worker()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert torch.get_num_threads() == 1
    finally:
        signal.signal(signal.SIGINT, before)
        torch.set_num_threads(threads)


def test_data_sets_can_be_sent_to_processes(dataset):
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[Draw(9, 3)].image, dataset[Draw(9, 3)].image)
