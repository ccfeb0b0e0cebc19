from typing import Any

from roadseg.models.dfanet import DFANet


def _dfanet(classes: int, **options: Any) -> DFANet:
    return DFANet(
        classes, widths=(8, 8, 16), depths=(1, 2, 1), stem_width=4, hidden=12, decoder_width=8, **options
    )


VARIANTS = {
    # Two passes end at 1/32. The exporter takes sides of one cell for constants, and the images of the slow tests
    # are no larger than the 1/64 of three; tests/models/test_dfanet.py exports those from a larger image.
    "dfanet-two-passes": lambda classes: _dfanet(classes, passes=2),
    "dfanet": _dfanet,
    "dfanet-aux": lambda classes: _dfanet(classes, aux=True),
    "dfanet-corners": lambda classes: _dfanet(classes, align_corners=True),
}
