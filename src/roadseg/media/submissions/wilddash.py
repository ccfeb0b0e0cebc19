"""WildDash: version 2 wants the ids of Cityscapes and five more; those of version 1 are among them.

How many images its test set has depends on the version, so no number is built in.
"""

from roadseg.media.submissions.benchmark import Benchmark

__all__ = ["WILDDASH"]

WILDDASH = Benchmark(
    name="wilddash",
    title="WildDash, semantic segmentation",
    official="wilddash",
    networks="cityscapes-19",
    source="rvc_devkit, label definitions of WildDash: single-channel 8-bit PNG, named as the image",
    upload="upload it at wilddash.cc",
)
