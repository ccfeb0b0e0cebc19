from roadseg.models.icnet import ConcatenatedContext, ICNet, SummedContext
from roadseg.models.resnet import ResNet


def _pruned(classes: int, *, aux: bool = True, align_corners: bool = True) -> ICNet:
    trunk = ResNet(50, stem="deep", stem_widths=(8, 8, 16), output_stride=8, width=8, depths=(1, 2, 1, 1))
    return ICNet(
        classes,
        trunk,
        SummedContext(align_corners),
        context_channels=trunk.channels[-1],
        split=1,
        aux=aux,
        align_corners=align_corners,
    )


def _whole(classes: int, *, ceil_mode: bool = False) -> ICNet:
    trunk = ResNet(
        50,
        stem="deep",
        stem_widths=(8, 8, 16),
        ceil_mode=ceil_mode,
        output_stride=8,
        width=8,
        depths=(1, 1, 1, 1),
    )
    return ICNet(
        classes,
        trunk,
        ConcatenatedContext(trunk.channels[-1], 32, align_corners=True),
        context_channels=32,
        split=1,
        reduce=48,
        guide="projected",
        bias=False,
    )


VARIANTS = {
    "icnet": _pruned,
    "icnet-whole": _whole,
    "icnet-whole-ceil": lambda classes: _whole(classes, ceil_mode=True),
    "icnet-centers": lambda classes: _pruned(classes, aux=False, align_corners=False),
}
