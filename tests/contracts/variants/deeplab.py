from roadseg.models.deeplab import DeeperDeepLab, DeepLabV3, DeepLabV3Plus
from roadseg.models.resnet import ResNet
from roadseg.models.wide_resnet import WideResNet
from roadseg.models.xception import Xception


def resnet(output_stride: int = 8) -> ResNet:
    return ResNet(50, output_stride=output_stride, width=8, depths=(1, 1, 1, 1))


def seresnext() -> ResNet:
    return ResNet(
        50,
        output_stride=8,
        width=16,
        depths=(1, 1, 1, 1),
        groups=4,
        group_width=16,
        squeeze=True,
        pool_padding=0,
    )


def wide_resnet(output_stride: int = 8) -> WideResNet:
    widths = ((8, 8), (12, 12), (16, 16), (16, 24), (12, 16, 24), (16, 24, 32))
    return WideResNet(output_stride=output_stride, stem_width=8, depths=(1, 1, 2, 1, 1, 1), widths=widths)


def xception(output_stride: int = 8) -> Xception:
    return Xception(output_stride=output_stride, widths=(8, 8, 12, 16, 24, 32, 32, 40), depth=1)


VARIANTS = {
    "deeplabv3plus": lambda classes: DeepLabV3Plus(classes, resnet(), width=16),
    "deeplabv3": lambda classes: DeepLabV3(classes, resnet(16), width=16),
    "deeplabv3plus-aligned": lambda classes: DeepLabV3Plus(
        classes, seresnext(), skip=2, align_corners=True, width=16
    ),
    "deeplabv3plus-wide": lambda classes: DeepLabV3Plus(classes, wide_resnet(), width=16),
    "deeplabv3plus-dpc": lambda classes: DeepLabV3Plus(classes, xception(16), context="dpc", width=16),
    "deeplabv3plus-deeper": lambda classes: DeeperDeepLab(classes, xception(), width=16),
}
