"""Weight files of DeepLabV3, DeepLabV3+ and its variants (`roadseg.models.deeplab`)."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS", "attending"]

_MAIN = "https://github.com/NVIDIA/semantic-segmentation"
_MAIN_CONVENTIONS = {
    19: Convention(labels="cityscapes-19", license="BSD-3-Clause (code); Cityscapes: non-commercial"),
    65: Convention(labels="mapillary-65", license="BSD-3-Clause (code); Mapillary Vistas: non-commercial"),
}
_SDCNET = "https://github.com/NVIDIA/semantic-segmentation/tree/sdcnet"
_SDCNET_CONVENTIONS = {
    classes: Convention(labels=labels, license="CC BY-NC-SA 4.0 (weights); non-commercial (data)")
    for classes, labels in ((19, "cityscapes-19"), (65, "mapillary-65"), (11, "camvid-11"))
}

_Renames = tuple[tuple[str, str], ...]

_PLUS_RENAMES: _Renames = (
    ("aspp.features.{rest}", "context.branches.{rest}"),
    ("aspp.img_conv.{rest}", "context.pool.{rest}"),
    ("bot_fine.weight", "decoder.detail.weight"),
    ("bot_aspp.weight", "decoder.context.weight"),
    ("final.{rest}", "decoder.head.{rest}"),
)
"""Context and decoder of DeepLabV3+: published names, ours."""
_V3_RENAMES: _Renames = (*_PLUS_RENAMES[:2], ("final.{rest}", "head.{rest}"))
_DEEPER_RENAMES: _Renames = (
    *_PLUS_RENAMES[:2],
    ("convs2.weight", "decoder.detail2.weight"),
    ("convs4.weight", "decoder.detail4.weight"),
    ("conv_up1.weight", "decoder.context.weight"),
    ("conv_up2.conv.weight", "decoder.join4.0.weight"),
    ("conv_up2.bn.{rest}", "decoder.join4.1.{rest}"),
    ("conv_up3.conv.weight", "decoder.join2.0.weight"),
    ("conv_up3.bn.{rest}", "decoder.join2.1.{rest}"),
    ("conv_up5.weight", "decoder.classifier.weight"),
)
_STEMS = {
    "resnet": (("layer0.0.{rest}", "conv1.{rest}"), ("layer0.1.{rest}", "bn1.{rest}")),
    "seresnext": (("layer0.conv1.{rest}", "conv1.{rest}"), ("layer0.bn1.{rest}", "bn1.{rest}")),
}
"""Names in a trunk that differ from ours."""
_STAGES = {"resnet": "layer{stage}", "seresnext": "layer{stage}", "wrn38": "mod{stage}"}
"""All other names in a trunk."""
_TITLES = {
    "resnet": "ResNet",
    "seresnext": "SE-ResNeXt",
    "wrn38": "WideResNet-38",
    "xception71": "Xception-71",
}
_MARKS = {
    "resnet": "layer0.0.weight",
    "seresnext": "layer0.conv1.weight",
    "wrn38": "mod7.block1.convs.conv3.weight",
    "xception71": "block20.rep.1.pointwise.weight",
}
_SKIPS = {"resnet": (256, 512), "seresnext": (256, 512), "wrn38": (128, 256), "xception71": (64, 128)}
"""Channels of the two maps that the decoder can take its detail from."""
_ATTENTION = "scale_attn."
"""Begins the names of what joins several scales: the networks that have it are of other families."""


def _trunk_renames(kind: str, prefix: str) -> _Renames:
    """Translate the names of a trunk, published under ``prefix``, to ours."""
    stem = tuple((prefix + theirs, f"backbone.{ours}") for theirs, ours in _STEMS.get(kind, ()))
    rest = "{rest}" if prefix else _STAGES[kind] + ".{rest}"
    return *stem, (prefix + rest, f"backbone.{rest}")


def _trunk_name(weights: Weights, kind: str, prefix: str) -> str | None:
    """Return the name of a trunk of a known kind, None if it has another depth than ours."""
    if kind not in _STEMS:
        return kind
    depth = {6: "50", 23: "101"}.get(count(weights, f"{prefix}layer3"))
    return depth and kind + depth


def _detected(
    weights: Weights,
    family: str,
    trunk: str | None,
    classifier: str,
    options: Mapping[str, object],
) -> Detected | None:
    classes = length(weights, classifier)
    if trunk is None or not classes or any(name.startswith(_ATTENTION) for name in weights):
        return None
    return Detected(f"{family}-{trunk}", classes, dict(options))


def _skip(weights: Weights, kind: str, detail: str) -> dict[str, object]:
    """Tell from the width of the detail where it is taken; the finest map is the default."""
    channels = length(weights, detail, axis=1)
    return {"skip": 2} if channels == _SKIPS[kind][1] else {}


def _plus(publisher: str, kind: str, prefix: str, options: Mapping[str, object]) -> Layout:
    def recognize(weights: Weights) -> Detected | None:
        found = {**options, **_skip(weights, kind, "bot_fine.weight")}
        trunk = _trunk_name(weights, kind, prefix)
        return _detected(weights, "deeplabv3plus", trunk, "final.6.weight", found)

    sdcnet = publisher == "nvidia-sdcnet"
    return Layout(
        name=f"{publisher}/deeplabv3plus-{kind}",
        title=f"DeepLabV3+ on {_TITLES[kind]} by NVIDIA, branch {publisher.removeprefix('nvidia-')}",
        source=_SDCNET if sdcnet else _MAIN,
        marks=(prefix + _MARKS[kind], "bot_fine.weight", "aspp.img_conv.0.weight", "final.6.weight"),
        recognize=recognize,
        renames=(*_trunk_renames(kind, prefix), *_PLUS_RENAMES),
        conventions=_SDCNET_CONVENTIONS if sdcnet else _MAIN_CONVENTIONS,
    )


def _v3(weights: Weights) -> Detected | None:
    if "bot_fine.weight" in weights:
        return None
    return _detected(weights, "deeplabv3", _trunk_name(weights, "resnet", "backbone."), "final.6.weight", {})


def _deeper(kind: str) -> Layout:
    return Layout(
        name=f"nvidia-main/deeper-{kind}",
        title=f"DeepLabV3+ with a deeper decoder on {_TITLES[kind]} by NVIDIA, branch main",
        source=_MAIN,
        marks=(f"trunk.{_MARKS[kind]}", "convs2.weight", "conv_up2.conv.weight", "conv_up5.weight"),
        recognize=lambda weights: _detected(weights, "deeplabv3plus-deeper", kind, "conv_up5.weight", {}),
        renames=(*_trunk_renames(kind, "trunk."), *_DEEPER_RENAMES),
        conventions=_MAIN_CONVENTIONS,
    )


def _ours(weights: Weights) -> Detected | None:
    """Read one of our own networks off its names."""
    kind = _our_kind(weights)
    trunk = _trunk_name(weights, kind, "backbone.")
    options: dict[str, object] = {} if "context.pool.0.weight" in weights else {"context": "dpc"}
    if "head.6.weight" in weights:
        return _detected(weights, "deeplabv3", trunk, "head.6.weight", options)
    if "decoder.join2.0.weight" in weights:
        return _detected(weights, "deeplabv3plus-deeper", trunk, "decoder.classifier.weight", options)
    options |= _skip(weights, kind, "decoder.detail.weight")
    return _detected(weights, "deeplabv3plus", trunk, "decoder.head.6.weight", options)


def _our_kind(weights: Weights) -> str:
    if "backbone.mod1.conv1.weight" in weights:
        return "wrn38"
    if "backbone.block20.skip.weight" in weights:
        return "xception71"
    return "seresnext" if "backbone.layer1.0.se_module.fc1.weight" in weights else "resnet"


LAYOUTS = (
    Layout(
        name="roadseg/deeplab",
        title="DeepLabV3 and DeepLabV3+ trained here",
        source="https://arxiv.org/abs/1802.02611",
        marks=("context.branches.3.0.weight",),
        recognize=_ours,
    ),
    Layout(
        name="nvidia-main/deeplabv3-resnet",
        title="DeepLabV3 on ResNet by NVIDIA, branch main",
        source=_MAIN,
        marks=("backbone.layer0.0.weight", "aspp.img_conv.0.weight", "final.6.weight"),
        recognize=_v3,
        renames=(*_trunk_renames("resnet", "backbone."), *_V3_RENAMES),
        conventions=_MAIN_CONVENTIONS,
    ),
    *(_plus("nvidia-main", kind, "backbone.", {}) for kind in ("resnet", "wrn38", "xception71")),
    *(_plus("nvidia-sdcnet", kind, "", {"align_corners": True}) for kind in ("resnet", "seresnext", "wrn38")),
    *(_deeper(kind) for kind in ("wrn38", "xception71")),
)


def attending(suffix: str, words: str, marks: tuple[str, ...], models: Collection[str]) -> tuple[Layout, ...]:
    """Derive the layouts of networks with attention to scales from those without it.

    Args:
        suffix: What is appended to the names of layouts and models.
        words: What is appended to the titles.
        marks: Further marks.
        models: The models without attention that there are such networks of.
    """

    def derived(plain: Layout) -> Layout:
        def recognize(weights: Weights) -> Detected | None:
            rest = {name: value for name, value in weights.items() if not name.startswith(_ATTENTION)}
            found = plain.recognize(rest)
            if found is None or found.model not in models:
                return None
            return replace(found, model=found.model + suffix)

        return replace(
            plain,
            name=plain.name + suffix,
            title=f"{plain.title}, {words}",
            marks=(*plain.marks, *marks),
            recognize=recognize,
        )

    def has_some(layout: Layout) -> bool:
        plain = layout.name.removeprefix("nvidia-main/")
        return plain == "roadseg/deeplab" or any(model.startswith(plain) for model in models)

    return tuple(derived(layout) for layout in LAYOUTS if has_some(layout))
