"""What published checkpoints do not say about themselves: their preprocessing, label space, license and score.

Known files are recognized by their SHA-256; a preset can also be named, for other files of the same making.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roadseg.errors import WeightsError
from roadseg.recipes import Preprocess
from roadseg.recipes.espnet import CAMVID_PREPROCESS

__all__ = ["PRESETS", "Preset", "preset_named", "preset_of"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a published checkpoint needs to be used as its authors did.

    Attributes:
        title: What it is.
        model: Catalog name of its network.
        space: Label space of its channels.
        preprocess: How its input is made.
        license: License of the file.
        source: Where it was published.
        files: SHA-256 of the published files.
        scores: Published scores, in the form of ``Scores.to_json``, as far as they were given.
    """

    title: str
    model: str
    space: str
    preprocess: Preprocess
    license: str
    source: str
    files: tuple[str, ...]
    scores: tuple[Mapping[str, Any], ...] = ()


_ESPNET = "https://github.com/sacmehta/ESPNet, folder pretrained (Mehta et al., ECCV 2018)"
_CITYSCAPES = Preprocess(
    order="BGR",
    mean=(72.3923111, 82.90893555, 73.15840149),
    std=(45.3192215, 46.15289307, 44.91483307),
    scale=1 / 255,
    size=(512, 1024),
)


def _published(miou: float, dataset: str, split: str, text: str) -> Mapping[str, Any]:
    return {
        "miou": miou,
        "protocol": {"dataset": dataset, "split": split, "text": f"{dataset} {split}, as published: {text}"},
    }


PRESETS: Mapping[str, Preset] = {
    "espnet-camvid": Preset(
        title="ESPNet p=2 q=8, CamVid 480x360, 11 classes and void",
        model="espnet",
        space="camvid-12",
        preprocess=CAMVID_PREPROCESS,
        license="MIT (weights); CamVid: research use",
        source=_ESPNET,
        files=("7d354a257170322086dcd4c1e89a482454cf2c9d30b085e70883878dd59301af",),
        scores=(_published(0.5564, "camvid", "test", "void truth counted as false positives"),),
    ),
    "espnet-cityscapes": Preset(
        title="ESPNet, Cityscapes 1024x512, 19 classes and background",
        model="espnet",
        space="cityscapes-20",
        preprocess=_CITYSCAPES,
        license="MIT (weights); Cityscapes: non-commercial",
        source=_ESPNET,
        files=(
            "8f3eb198fb15e5da7fa8d258d5f0fc4a4213e1124f415f6fc54d2772d585a7fc",
            "343b0e77e8545d36113c4f3efbf1ee349256f25c97c9f9d5ddefe45f2f49763e",
        ),
    ),
    "espnet-c-cityscapes": Preset(
        title="ESPNet-C (encoder alone), Cityscapes 1024x512, 19 classes and background",
        model="espnet-c",
        space="cityscapes-20",
        preprocess=_CITYSCAPES,
        license="MIT (weights); Cityscapes: non-commercial",
        source=_ESPNET,
        files=("836f28a2a31bd4fc8997001ab6b620d1f9b7b274a03b32d9f3a95c17a011b438",),
    ),
}


def preset_of(sha256: str) -> Preset | None:
    """Return the preset of a published file, by the file's SHA-256."""
    return next((preset for preset in PRESETS.values() if sha256 in preset.files), None)


def preset_named(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        WeightsError: There is none of that name.
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise WeightsError(f"there is no preset {name!r}", remedy=f"{hint}known are {', '.join(PRESETS)}")
    return PRESETS[name]
