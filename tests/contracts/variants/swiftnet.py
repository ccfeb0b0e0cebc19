from torch import nn

from roadseg.models.resnet import ResNet
from roadseg.models.swiftnet import SwiftNet, SwiftNetPyramid


def _trunk() -> ResNet:
    return ResNet(18, width=8, depths=(1, 1, 1, 1))


def _scores_decoder(classes: int) -> nn.Module:
    return SwiftNet(classes, width=None, align_corners=True, dsn=True, trunk=_trunk())


VARIANTS = {
    "swiftnet": lambda classes: SwiftNet(classes, width=12, trunk=_trunk()),
    "swiftnet-scores": _scores_decoder,
    "swiftnet-pyramid": lambda classes: SwiftNetPyramid(classes, width=12, trunk=_trunk()),
}
