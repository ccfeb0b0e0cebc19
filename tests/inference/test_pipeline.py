import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import InputError
from roadseg.inference.pipeline import Shard, Stage, pipeline, stage_workers


def double(x):
    return 2 * x


def test_results_come_in_the_order_of_the_items_whatever_takes_how_long():
    def late(x):
        time.sleep(0.01 * (3 - x % 4))
        return x

    done = list(pipeline(range(12), Stage(late, workers=4, ahead=4), Stage(double), Stage(late, workers=2)))
    assert [passed.item for passed in done] == list(range(12))
    assert [passed.value for passed in done] == [2 * x for x in range(12)]


def test_stages_overlap():
    def wait(x):
        time.sleep(0.03)
        return x

    began = time.monotonic()
    assert len(list(pipeline(range(10), Stage(wait, workers=1), Stage(wait), Stage(wait, workers=1)))) == 10
    assert time.monotonic() - began < 0.75 * 3 * 10 * 0.03


def test_an_error_travels_to_the_end_and_stops_nothing_else():
    seen = []

    def fail(x):
        if x == 2:
            raise InputError("two")
        return x

    done = list(pipeline(range(5), Stage(fail, workers=2), Stage(lambda x: seen.append(x) or x)))
    assert [passed.value for passed in done] == [0, 1, None, 3, 4]
    assert str(done[2].error) == "two"
    assert seen == [0, 1, 3, 4]


def test_only_so_many_items_are_alive():
    pulled, finished, most = 0, 0, 0

    def items():
        nonlocal pulled, most
        for x in range(40):
            pulled += 1
            most = max(most, pulled - finished)
            yield x

    for _ in pipeline(items(), Stage(double, workers=2, ahead=1), Stage(double), Stage(double, workers=2)):
        finished += 1
    assert (pulled, finished) == (40, 40)
    assert most <= (2 + 1) + 1 + (2 + 1)


def test_the_stage_without_workers_runs_in_the_thread_of_the_caller():
    here = threading.get_ident()
    threads = Stage(lambda _: threading.get_ident(), workers=1)
    assert [p.value for p in pipeline([0], Stage(lambda _: threading.get_ident()))] == [here]
    assert [p.value for p in pipeline([0], threads)] != [here]


@pytest.mark.parametrize("how", ["interrupt", "close"])
def test_stopping_ends_what_was_begun_and_begins_nothing_else(how):
    begun, ended = [], []

    def write(x):
        begun.append(x)
        time.sleep(0.02)
        ended.append(x)

    def network(x):
        if how == "interrupt" and x == 3:
            raise KeyboardInterrupt
        return x

    stream = pipeline(
        range(100), Stage(double, workers=1), Stage(lambda x: network(x // 2)), Stage(write, workers=1)
    )
    if how == "interrupt":
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    else:
        next(stream)
        stream.close()
    after = list(begun)
    assert ended == begun
    assert len(begun) <= 4
    time.sleep(0.05)
    assert begun == after
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stage")]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 4))
def test_batches_hold_consecutive_items_that_are_alike(items, batch):
    batches = []

    def run(group):
        batches.append(group)
        if 5 in group:
            raise InputError("five")
        return [2 * x for x in group]

    done = list(pipeline(items, Stage(run, batch=batch, alike=lambda x: x % 2)))
    assert [passed.item for passed in done] == items
    for passed in done:
        assert passed.value == (None if passed.item == 5 else 2 * passed.item)
        assert (passed.error is not None) == (passed.item == 5)
    assert all(len(group) <= batch and len({x % 2 for x in group}) == 1 for group in batches)


def test_batches_pass_over_items_that_failed_before():
    def fail(x):
        if x == 1:
            raise InputError("one")
        return x

    done = list(pipeline(range(4), Stage(fail), Stage(lambda group: [double(x) for x in group], batch=4)))
    assert [passed.value for passed in done] == [0, None, 4, 6]


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"ahead": -1}, {"batch": 0}, {"batch": 2, "workers": 1}])
def test_stages_that_could_not_run_are_refused(wrong):
    with pytest.raises(ValueError, match="a stage"):
        Stage(double, **wrong)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.integers(1, 9))
def test_shards_have_every_item_once(count, size):
    shares = [Shard(rank, size).of(list(range(count))) for rank in range(size)]
    assert sorted(x for share in shares for x in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_shard_is_named_by_the_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert Shard.from_environment() == Shard()
    assert Shard().gather("x") == ["x"]
    assert Shard().device("auto") == "auto"
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(InputError, match="RANK is 3 and WORLD_SIZE is 1"):
        Shard.from_environment()
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Shard.from_environment() == Shard(3, 8, 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert Shard(3, 8, 1).device("auto") == "cuda:1"
    assert Shard(3, 8, 1).device("cpu") == "cpu"
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(InputError, match="WORLD_SIZE is 'many'"):
        Shard.from_environment()


def test_there_are_always_threads_for_reading(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert stage_workers() == 2
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert stage_workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert stage_workers() == 4
