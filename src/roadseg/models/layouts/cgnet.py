"""Weight files of CGNet (`roadseg.models.cgnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]


def _cgnet(weights: Weights) -> Detected | None:
    num_classes = length(weights, "classifier.0.conv.weight")
    if not num_classes:
        return None
    blocks = {"m": count(weights, "level2") + 1, "n": count(weights, "level3") + 1}
    return Detected("cgnet", num_classes, blocks)


# The published training code takes the mean in the order in which OpenCV reads (BGR), and subtracts it from RGB
# images. The weights were trained with that, so it is right for them.
_CAMVID = Convention(
    labels="camvid-11",
    preprocess={"mean": (105.658, 103.330, 99.625), "std": (1.0, 1.0, 1.0)},
    license="MIT (weights); CamVid: research use",
)
_CITYSCAPES = Convention(
    labels="cityscapes-19",
    preprocess={"mean": (72.39239876, 82.90891754, 73.15835921), "std": (1.0, 1.0, 1.0)},
    license="MIT (weights); Cityscapes: non-commercial",
)

LAYOUTS = (
    Layout(
        name="wutianyi/cgnet",
        title="CGNet by its authors, and networks trained here",
        source="https://github.com/wutianyiRosun/CGNet",
        marks=("classifier.0.conv.weight", "level2_0.F_sur.conv.weight", "bn_prelu_3.act.weight"),
        recognize=_cgnet,
        conventions={11: _CAMVID, 19: _CITYSCAPES},
    ),
)
