"""Submissions to benchmarks: written in the official ids and names, and checked without their server.

One file per benchmark says what it wants (`Benchmark`); `check_submission` lists every fault of an archive or a folder;
`write_submission` makes an archive and gives it out only when it has none.
"""

from collections.abc import Mapping

from roadseg.media.submissions.archive import Submission, write_submission
from roadseg.media.submissions.benchmark import Benchmark, Fault, Sizes
from roadseg.media.submissions.camvid import CAMVID
from roadseg.media.submissions.checking import Check, check_submission
from roadseg.media.submissions.cityscapes import CITYSCAPES
from roadseg.media.submissions.expected import Expected, expected_frames
from roadseg.media.submissions.kitti import KITTI
from roadseg.media.submissions.mapillary import MAPILLARY
from roadseg.media.submissions.origin import Origin, find_origin, find_predictions
from roadseg.media.submissions.wilddash import WILDDASH

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Check",
    "Expected",
    "Fault",
    "Origin",
    "Sizes",
    "Submission",
    "check_submission",
    "expected_frames",
    "find_origin",
    "find_predictions",
    "write_submission",
]

BENCHMARKS: Mapping[str, Benchmark] = {
    item.name: item for item in (CITYSCAPES, KITTI, MAPILLARY, WILDDASH, CAMVID)
}
"""All benchmarks by name."""
