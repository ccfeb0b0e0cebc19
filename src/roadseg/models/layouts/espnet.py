"""Weight files of ESPNet (`roadseg.models.espnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]


def _alphas(weights: Weights, prefix: str) -> dict[str, object]:
    return {"alpha2": count(weights, f"{prefix}level2"), "alpha3": count(weights, f"{prefix}level3")}


def _espnet(weights: Weights) -> Detected | None:
    num_classes = length(weights, "classifier.weight", axis=1)  # transposed convolution: [in, out, 2, 2]
    width = length(weights, "conv.conv.weight")
    level1 = length(weights, "conv.conv.weight", axis=1) - width
    skip = {16: "features", 19: "concat"}.get(level1)
    if not num_classes or skip is None:
        return None
    return Detected("espnet", num_classes, _alphas(weights, "encoder.") | {"skip": skip})


def _espnet_c(weights: Weights) -> Detected | None:
    num_classes = length(weights, "classifier.conv.weight")
    return Detected("espnet-c", num_classes, _alphas(weights, "")) if num_classes else None


_CITYSCAPES = Convention(
    labels="cityscapes-20",
    preprocess={
        "order": "BGR",
        "mean": (72.3923111, 82.90893555, 73.15840149),
        "std": (45.3192215, 46.15289307, 44.91483307),
        "scale": 1 / 255,
        "size": (512, 1024),
    },
    license="MIT (weights); Cityscapes: non-commercial",
)
_CAMVID = Convention(
    labels="camvid-12",
    preprocess={
        "order": "BGR",
        "mean": (110.331, 108.409, 105.033),
        "std": (72.126, 72.691, 69.904),
        "scale": 1 / 255,
    },
    license="MIT (weights); CamVid: research use",
)
_SOURCE = "https://github.com/sacmehta/ESPNet"

LAYOUTS = (
    Layout(
        name="sacmehta/espnet",
        title="ESPNet by its authors, and networks trained here",
        source=_SOURCE,
        marks=("classifier.weight", "conv.conv.weight", "encoder.level2_0.c1.conv.weight"),
        recognize=_espnet,
        conventions={20: _CITYSCAPES, 12: _CAMVID},
    ),
    Layout(
        name="sacmehta/espnet-c",
        title="ESPNet-C, the encoder alone, by its authors, and networks trained here",
        source=_SOURCE,
        marks=("classifier.conv.weight", "level2_0.c1.conv.weight"),
        recognize=_espnet_c,
        conventions={20: _CITYSCAPES},
    ),
)
