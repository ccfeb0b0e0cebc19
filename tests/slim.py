"""Small networks of the families whose published ones are too large for a test, with the same outputs and options.

`stand_in` gives a recipe's model a small one of its family; models that are small anyway stay as they are.
"""

import dataclasses
from typing import Any

from roadseg.models.bisenet import BiSeNet
from roadseg.models.deeplab import DeepLabV3Plus
from roadseg.models.dfnet import DFNet, DFSeg
from roadseg.models.hierarchical import HRNetOCRHierarchical
from roadseg.models.hierarchical_deeplab import DeepLabV3PlusHierarchical
from roadseg.models.hrnet import HRNetSegmentation
from roadseg.models.icnet import ConcatenatedContext, ICNet
from roadseg.models.msfnet import MSFNet
from roadseg.models.pspnet import PSPNet
from roadseg.models.resnet import ResNet
from roadseg.models.smp import smp
from roadseg.models.swiftnet import SwiftNet, SwiftNetPyramid
from roadseg.recipes import Model
from tests.contracts.variants.deeplab import seresnext, wide_resnet
from tests.contracts.variants.hrnet import awake, trunk

_SLIM = {
    "bisenet-resnet18": "bisenet",
    "deeplabv3plus-seresnext50": "deeplab_seresnext",
    "deeplabv3plus-wrn38": "deeplab_wide",
    "deeplabv3plus-wrn38-hms": "deeplab_wide_hms",
    "df1-seg": "df_seg",
    "df2-seg1": "df_seg",
    "df2-seg2": "df_seg",
    "hrnet-ocr-w48-hms": "hrnet_ocr_hms",
    "hrnet-w48-mseg": "hrnet_mseg",
    "icnet-resnet50": "icnet_whole",
    "msfnet": "msfnet",
    "pspnet-resnet50": "pspnet",
    "pspnet-resnet101": "pspnet",
    "smp:deeplabv3plus/efficientnet-b4": "smp_deeplab",
    "smp:unet/efficientnet-b4": "smp_unet",
    "swiftnet-resnet18": "swiftnet",
    "swiftnet-resnet18-pyramid": "swiftnet_pyramid",
}


def stand_in(model: Model) -> Model:
    """The model, from scratch and small, its options as they were."""
    slim = _SLIM.get(model.name)
    name = model.name if slim is None else f"{__name__}:{slim}"
    return dataclasses.replace(model, name=name, weights=None)


def _resnet18() -> ResNet:
    return ResNet(18, width=8, depths=(1, 1, 1, 1))


def bisenet(num_classes: int) -> BiSeNet:
    return BiSeNet(num_classes, _resnet18(), width=8, spatial_width=8, head_width=8, aux_width=8)


def deeplab_seresnext(num_classes: int, **options: Any) -> DeepLabV3Plus:
    return DeepLabV3Plus(num_classes, seresnext(), width=16, **options)


def deeplab_wide(num_classes: int, **options: Any) -> DeepLabV3Plus:
    return DeepLabV3Plus(num_classes, wide_resnet(), width=16, **options)


def deeplab_wide_hms(num_classes: int) -> DeepLabV3PlusHierarchical:
    return DeepLabV3PlusHierarchical(num_classes, wide_resnet(), width=16, attention_width=8)


def df_seg(num_classes: int) -> DFSeg:
    stages = (("fine", 1, 8, 2), ("fine_wide", 1, 12, 1), ("middle", 1, 16, 2), ("coarse", 2, 24, 2))
    return DFSeg(num_classes, DFNet(stages, stem=(8, 8)), laterals=(6, 8, 10), nodes=(6, 8), pooled=4)


def hrnet_ocr_hms(num_classes: int) -> Any:
    return awake(HRNetOCRHierarchical(num_classes, backbone=trunk(), width=16, attention_width=8))


def hrnet_mseg(num_classes: int) -> Any:
    return awake(
        HRNetSegmentation(num_classes, backbone=trunk(momentum=0.01), head="1x1", align_corners=True)
    )


def _deep(**options: Any) -> ResNet:
    return ResNet(
        50, stem="deep", stem_widths=(8, 8, 16), output_stride=8, width=8, depths=(1, 1, 1, 1), **options
    )


def icnet_whole(num_classes: int, *, ceil_mode: bool) -> ICNet:
    backbone = _deep(ceil_mode=ceil_mode)
    context = ConcatenatedContext(backbone.channels[-1], 32, align_corners=True)
    return ICNet(
        num_classes,
        backbone,
        context,
        context_channels=32,
        split=1,
        reduce=48,
        guide="projected",
        bias=False,
    )


def msfnet(num_classes: int) -> MSFNet:
    return MSFNet(num_classes, width=12, trunk=_resnet18())


def pspnet(num_classes: int) -> PSPNet:
    return PSPNet(num_classes, _deep(), aux_width=16)


def smp_deeplab(num_classes: int) -> Any:
    return smp(num_classes, architecture="deeplabv3plus", encoder="mobilenet_v2", decoder_channels=16)


def smp_unet(num_classes: int) -> Any:
    return smp(
        num_classes,
        architecture="unet",
        encoder="mobilenet_v2",
        encoder_depth=3,
        decoder_channels=(16, 8, 8),
    )


def swiftnet(num_classes: int) -> SwiftNet:
    return SwiftNet(num_classes, width=12, trunk=_resnet18())


def swiftnet_pyramid(num_classes: int) -> SwiftNetPyramid:
    return SwiftNetPyramid(num_classes, width=12, trunk=_resnet18())
