"""KITTI semantic segmentation, 2015.

The format is that of Cityscapes, except that files bear the names of the images.
"""

from roadseg.media.submissions.benchmark import Benchmark, Sizes

__all__ = ["KITTI"]

_IMAGES = 200  # of the test set; train has as many

KITTI = Benchmark(
    name="kitti",
    title="KITTI semantic segmentation 2015",
    official="kitti",
    networks="cityscapes-19",
    flat=False,
    counts={"test": _IMAGES},
    frames=tuple(f"{i:06d}_10" for i in range(_IMAGES)),
    sizes=(Sizes((370, 376), (1224, 1242)),),
    source="devkit_semantics, README: single-channel 8-bit PNG, ids of Cityscapes, named as the image",
    upload="upload it at cvlibs.net/datasets/kitti, once the server's own page confirms the layout",
)
