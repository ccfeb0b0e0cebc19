from roadseg.models.dfnet import DFNet, DFSeg, FastSegDF

_STAGES = (("fine", 1, 8, 2), ("fine_wide", 1, 12, 1), ("middle", 1, 16, 2), ("coarse", 2, 24, 2))


def _trunk() -> DFNet:
    return DFNet(_STAGES, stem=(8, 8))


def _paper(classes: int) -> DFSeg:
    return DFSeg(classes, _trunk(), laterals=(6, 8, 10), nodes=(6, 8), pooled=4)


def _fast_seg(classes: int) -> FastSegDF:
    return FastSegDF(classes, _trunk(), taps=(1, 2, 3), width=8)


def _fast_seg_shifted(classes: int) -> FastSegDF:
    """At 1/16, as DF1 there, with the border of one cell."""
    return FastSegDF(
        classes, DFNet((*_STAGES, ("last", 1, 32, 1)), stem=(8, 8)), taps=(2, 3, 4), width=8, ppm_padding=1
    )


VARIANTS = {"df-seg": _paper, "df-fast-seg": _fast_seg, "df-fast-seg-shifted": _fast_seg_shifted}
