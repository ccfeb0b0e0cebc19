"""Weight files of the segmentation networks of torchvision (`roadseg.models.torchvision_nets`)."""

from roadseg.models.layouts.layout import Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]

_SOURCE = "https://pytorch.org/vision/stable/models.html#semantic-segmentation"
_RESNETS = {6: "resnet50", 23: "resnet101"}
_MOBILENET = "mobilenet_v3_large"


def _trunk(weights: Weights) -> str | None:
    if "backbone.layer1.0.conv3.weight" in weights:
        return _RESNETS.get(count(weights, "backbone.layer3"))
    mobile = length(weights, "backbone.0.0.weight") == 16 and length(weights, "backbone.16.0.weight") == 960
    return _MOBILENET if mobile else None


def _found(weights: Weights, head: str, classifier: str) -> Detected | None:
    trunk, num_classes = _trunk(weights), length(weights, classifier)
    if trunk is None or not num_classes:
        return None
    options = {"aux_loss": True} if "aux_classifier.4.weight" in weights else {}
    return Detected(f"torchvision:{head}_{trunk}", num_classes, options)


def _fcn(weights: Weights) -> Detected | None:
    return _found(weights, "fcn", "classifier.4.weight")


def _deeplabv3(weights: Weights) -> Detected | None:
    return _found(weights, "deeplabv3", "classifier.4.weight")


def _lraspp(weights: Weights) -> Detected | None:
    return _found(weights, "lraspp", "classifier.low_classifier.weight")


LAYOUTS = (
    Layout(
        name="torchvision/deeplabv3",
        title="DeepLabV3 by torchvision",
        source=_SOURCE,
        marks=("classifier.0.convs.4.1.weight", "classifier.1.weight", "classifier.4.bias"),
        recognize=_deeplabv3,
    ),
    Layout(
        name="torchvision/fcn",
        title="FCN by torchvision",
        source=_SOURCE,
        marks=(
            "backbone.layer4.0.conv3.weight",
            "classifier.0.weight",
            "classifier.1.bias",
            "classifier.4.bias",
        ),
        recognize=_fcn,
    ),
    Layout(
        name="torchvision/lraspp",
        title="LR-ASPP by torchvision",
        source=_SOURCE,
        marks=("classifier.cbr.0.weight", "classifier.high_classifier.weight", "classifier.scale.1.weight"),
        recognize=_lraspp,
    ),
)
