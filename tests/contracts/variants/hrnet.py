from torch import nn

from roadseg.models.hrnet import HRNet, HRNetSegmentation


def trunk(**options: float) -> HRNet:
    """HRNet with a branch of each kind and as little of everything as can be."""
    return HRNet(4, modules=(1, 1, 1), blocks=1, first_stage=(1, 4), stem_width=8, **options)


def awake(model: nn.Module) -> nn.Module:
    """With the published start, a standard deviation of 0.001, hardly anything of the image would arrive."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


VARIANTS = {
    "hrnet": lambda classes: awake(HRNetSegmentation(classes, backbone=trunk(), head_width=8)),
    "hrnet-1x1": lambda classes: awake(
        HRNetSegmentation(classes, backbone=trunk(momentum=0.01), head="1x1", align_corners=True)
    ),
}
