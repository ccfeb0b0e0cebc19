from roadseg.models.pspnet import PSPNet
from roadseg.models.resnet import ResNet


def _trunk() -> ResNet:
    return ResNet(50, stem="deep", stem_widths=(8, 8, 16), output_stride=8, width=8, depths=(1, 1, 2, 1))


VARIANTS = {
    "pspnet": lambda classes: PSPNet(classes, _trunk(), aux_width=16),
    "pspnet-fast-seg": lambda classes: PSPNet(
        classes, _trunk(), pyramid_relu=False, priors_first=True, aux_width=32, aux_bias=True
    ),
    "pspnet-centers": lambda classes: PSPNet(classes, _trunk(), aux_width=0, align_corners=False),
}
