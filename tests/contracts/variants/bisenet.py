from typing import Any

from roadseg.models.bisenet import BiSeNet, Xception39
from roadseg.models.resnet import ResNet


def _resnet(classes: int, *, stem: Any = "plain", **options: Any) -> BiSeNet:
    trunk = ResNet(18, stem=stem, stem_widths=(4, 4, 8), width=8, depths=(1, 1, 1, 1))
    return BiSeNet(classes, trunk, width=8, spatial_width=8, **{"head_width": 8, "aux_width": 8, **options})


def _xception(classes: int, **options: Any) -> BiSeNet:
    trunk = Xception39(stem_width=4, widths=(2, 4, 4), depths=(1, 2, 1))
    return BiSeNet(classes, trunk, width=8, spatial_width=8, head_width=8, aux_width=8, **options)


VARIANTS = {
    "bisenet": _resnet,
    "bisenet-xception": _xception,
    "bisenet-deep": lambda classes: _resnet(classes, stem="deep", aux=False, align_corners=False),
    "bisenet-nearest": lambda classes: _resnet(
        classes, fusion="normalized", upsampling="nearest", align_corners=False
    ),
}
