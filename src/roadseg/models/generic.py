"""Networks of other libraries by name: what can be said of them without importing torch.

``smp:ARCHITECTURE/ENCODER`` is a network of segmentation_models_pytorch, whose encoder may be any of timm's as
``tu-NAME``; ``torchvision:NAME`` is a segmentation network of torchvision.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from roadseg.errors import RecipeError

__all__ = ["LIBRARIES", "SMP", "TORCHVISION", "Generic", "generic", "near", "split"]

_SMP_FACTORY = "roadseg.models.smp:smp"
_TORCHVISION_FACTORY = "roadseg.models.torchvision_nets:torchvision_net"
_ENCODER = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*"
)  # no place for the addresses that timm would download from


@dataclass(frozen=True)
class Generic:
    """A published architecture, as another library builds it.

    Attributes:
        title: The name its authors gave it.
        year: Year of the paper.
        paper: Link to the paper.
        stride: Image pixels per logit cell, all options at their defaults.
        aux_weights: Weights of its auxiliary outputs in the loss, as published.
    """

    title: str
    year: int
    paper: str
    stride: int
    aux_weights: tuple[float, ...] = ()


def _arxiv(title: str, year: int, number: str, stride: int, *aux_weights: float) -> Generic:
    return Generic(title, year, f"https://arxiv.org/abs/{number}", stride, aux_weights)


SMP: Mapping[str, Generic] = MappingProxyType(
    {
        "deeplabv3": _arxiv("DeepLabV3", 2017, "1706.05587", 8),
        "deeplabv3plus": _arxiv("DeepLabV3+", 2018, "1802.02611", 4),
        "dpt": _arxiv("DPT", 2021, "2103.13413", 2),
        "fpn": _arxiv("Panoptic FPN", 2019, "1901.02446", 4),
        "linknet": _arxiv("LinkNet", 2017, "1707.03718", 1),
        "manet": _arxiv("MA-Net", 2020, "2009.02130", 1),
        "pan": _arxiv("PAN", 2018, "1805.10180", 4),
        "pspnet": _arxiv("PSPNet", 2016, "1612.01105", 8),
        "segformer": _arxiv("SegFormer", 2021, "2105.15203", 4),
        "unet": _arxiv("U-Net", 2015, "1505.04597", 1),
        "unetplusplus": _arxiv("U-Net++", 2018, "1807.10165", 1),
        "upernet": _arxiv("UPerNet", 2018, "1807.10221", 4),
    }
)
"""Architectures of segmentation_models_pytorch, by the name it builds them by."""

TORCHVISION: Mapping[str, Generic] = MappingProxyType(
    {
        "deeplabv3_mobilenet_v3_large": _arxiv("DeepLabV3, MobileNetV3", 2017, "1706.05587", 16, 0.5),
        "deeplabv3_resnet101": _arxiv("DeepLabV3, ResNet-101", 2017, "1706.05587", 8, 0.5),
        "deeplabv3_resnet50": _arxiv("DeepLabV3, ResNet-50", 2017, "1706.05587", 8, 0.5),
        "fcn_resnet101": _arxiv("FCN, ResNet-101", 2014, "1411.4038", 8, 0.5),
        "fcn_resnet50": _arxiv("FCN, ResNet-50", 2014, "1411.4038", 8, 0.5),
        "lraspp_mobilenet_v3_large": _arxiv("LR-ASPP, MobileNetV3", 2019, "1905.02244", 8),
    }
)
"""Segmentation networks of torchvision; its training script weighs the auxiliary loss with 0.5."""

_OPTIONS = {
    "smp": {"...": "whatever the architecture takes in segmentation_models_pytorch, such as encoder_depth"},
    "torchvision": {"aux_loss": "whether an auxiliary classifier is built, which runs in training only"},
}


def near(name: str, known: Iterable[str]) -> str:
    """Return a remedy that names what is spelled almost like ``name``; empty if nothing is."""
    found = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(found)}? " if found else ""


LIBRARIES = tuple(_OPTIONS)
"""What stands before the colon in the name of a network of another library."""


def split(name: str) -> tuple[str, ...]:
    """Split a name into library, architecture and, for SMP, encoder; empty if it is none of a library.

    Raises:
        RecipeError: If the library is known, but has no such architecture, or the encoder is not spelled like one.
    """
    library, colon, rest = name.partition(":")
    if not colon or library not in LIBRARIES:
        return ()
    if library == "torchvision":
        _demand(rest, TORCHVISION, name, "network")
        return library, rest
    architecture, slash, encoder = rest.partition("/")
    _demand(architecture, SMP, name, "architecture")
    if not slash or not _ENCODER.fullmatch(encoder):
        raise RecipeError(
            "does not say which encoder" if not encoder else f"{encoder!r} is not the name of an encoder",
            where=f"model {name}",
            remedy=f"write smp:{architecture}/ENCODER, for example smp:{architecture}/resnet50 or "
            f"smp:{architecture}/tu-NAME with a network of timm",
        )
    return library, architecture, encoder


def _demand(part: str, known: Collection[str], name: str, kind: str) -> None:
    if part not in known:
        library = name.partition(":")[0]
        raise RecipeError(
            f"{library} has no {kind} {part!r}",
            where=f"model {name}",
            remedy=f"{near(part, known)}it has {', '.join(known)}",
        )


def generic(name: str) -> dict[str, object] | None:
    """Return the facts of a catalog row for the name of a network of another library; None if it is none.

    Raises:
        RecipeError: See `split`.
    """
    library, architecture, encoder = (*split(name), "", "", "")[:3]
    if not library:
        return None
    facts = (SMP if library == "smp" else TORCHVISION)[architecture]
    return {
        "title": f"{facts.title}, {encoder}" if encoder else facts.title,
        "year": facts.year,
        "family": "smp" if library == "smp" else "torchvision_nets",
        "factory": _SMP_FACTORY if library == "smp" else _TORCHVISION_FACTORY,
        "paper": facts.paper,
        "stride": facts.stride,
        "options": {} if architecture.startswith("lraspp") else _OPTIONS[library],
        "aux_weights": facts.aux_weights,
    }
