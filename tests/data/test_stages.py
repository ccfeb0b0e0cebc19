import pytest

from roadseg.data.stages import StageTimes, Stopwatch


def test_a_stopwatch_sums_laps():
    seconds = iter([0.0, 1.0, 3.0, 6.0])
    watch = Stopwatch(lambda: next(seconds))
    for stage in ("decode", "transform", "decode"):
        watch.lap(stage)
    assert watch.seconds == {"decode": 4.0, "transform": 2.0}


def times(**seconds: float) -> StageTimes:
    found = StageTimes()
    found.add(seconds)
    found.batches = 2
    return found


SLOW = {
    "waiting": 71,
    "transfer": 1,
    "compute": 28,
    "decode": 62,
    "relabel": 2,
    "transform": 30,
    "collate": 6,
}


@pytest.mark.parametrize(
    ("seconds", "workers", "cached", "text"),
    [
        (
            SLOW,
            4,
            False,
            "the loader is the bottleneck: 71% of a step is spent waiting; decode 62%, transform 30%, collate 6%"
            " - use `roadseg data cache`, or more --workers",
        ),
        (
            SLOW,
            0,
            True,
            "the loader is the bottleneck: 71% of a step is spent waiting; decode 62%, transform 30%, collate 6%"
            " - --workers 2 or more",
        ),
        (
            {"waiting": 1, "compute": 9, "decode": 5},
            4,
            False,
            "the loader keeps up: 10% of a step is spent waiting",
        ),
    ],
)
def test_the_summary_names_the_bottleneck(seconds, workers, cached, text):
    assert times(**seconds).summary(workers=workers, cached=cached) == text


def test_nothing_loaded():
    assert StageTimes().summary(workers=0, cached=False) == "nothing was loaded"
    assert StageTimes().to_json() == {"waiting_share": 0.0}


def test_json_is_milliseconds_per_batch():
    assert times(decode=0.5, waiting=0.1, compute=0.3).to_json() == {
        "decode": 250.0,
        "waiting": 50.0,
        "compute": 150.0,
        "waiting_share": 0.25,
    }
