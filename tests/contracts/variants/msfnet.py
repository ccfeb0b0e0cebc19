from roadseg.models.msfnet import MSFNet
from roadseg.models.resnet import ResNet


def _trunk() -> ResNet:
    return ResNet(18, width=8, depths=(1, 1, 1, 1))


# The first one ends at 1/32: of the image that the contracts export, 1/64 is a single row, which exporters treat apart.
VARIANTS = {
    "msfnet": lambda classes: MSFNet(classes, width=12, resolutions=3, trunk=_trunk()),
    "msfnet-coarse": lambda classes: MSFNet(classes, width=12, trunk=_trunk()),
    "msfnet-plain": lambda classes: MSFNet(classes, boundary=False, width=8, trunk=_trunk()),
}
