"""Every network of segmentation_models_pytorch (SMP), with its own encoders or any of timm's.

Their modules and parameter names are kept, so weights saved by SMP load as they are. Three things differ:

* SMP ends in a bilinear resize to the image (``align_corners=True``). It is left out: the logits stay at the network's
  own stride, and the resize is done where labels are made.
* SMP accepts sides that are multiples of its output stride only. Here an image is extended at the bottom and the
  right by its last row and column, as whole-image inference does it too (zeros would put a dark edge next to the
  street), and the logits are cropped to ceil(H / stride) x ceil(W / stride).
* Adaptive pooling to more than one cell is written as matrix products, for the exporters to ONNX get it wrong.

A network is tried on one small image when it is built: whether architecture and encoder fit together shows at once,
the stride is measured, not assumed, and parameters that no logit depends on (stages behind the ones an architecture
uses) are frozen, because distributed training waits for the gradient of every parameter that is not.

segmentation_models_pytorch and timm are an optional extra and are imported when a network is built. Nothing is ever
downloaded.
"""

import importlib
import inspect
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.errors import RecipeError, WeightsError
from roadseg.models.blocks import AdaptiveAvgPool, resize
from roadseg.models.generic import SMP, near, split
from roadseg.models.output import Output

__all__ = ["SMPNet", "encoders", "preprocess_of", "read_folder", "smp"]

_LIBRARY = "segmentation_models_pytorch"
_REMEDY = "pip install 'roadseg[smp]'"

# Options of SMP that have one right value here, and what it is.
_FIXED = {
    "encoder_weights": (None, "weights are never downloaded; load a file of them into `backbone`"),
    "in_channels": (3, "images have three channels"),
    "classes": (None, "it is the number of classes, given beside the name"),
    "activation": (None, "networks return logits"),
    "upsampling": (None, "networks return logits at their own stride, and never upsample to the image"),
    "aux_params": (None, "there is no loss for a classifier of whole images"),
}
# What timm and SMP raise on parts that do not fit together.
_MISFITS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NotImplementedError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
_DILATED = ("deeplabv3", "deeplabv3plus", "pan")
_NO_DILATION = re.compile("dilated|output_stride")
# How timm is asked to accept images of any size, for networks that insist on one.
_ANY_SIZE: tuple[dict[str, object], ...] = (
    {},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
)


class _PyramidLevel(nn.Module):
    """One level of SMP's PSPNet: pool, convolve, resize back, without a detour for exporters."""

    def __init__(self, pool: nn.Sequential) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return resize(self.pool(x), (x.shape[-2], x.shape[-1]), align_corners=True)


class SMPNet(nn.Module):
    """A network of segmentation_models_pytorch that takes images of any size and returns logits at its own stride.

    Args:
        network: The network of SMP; its parts are taken over.
        num_classes: Channels of its logits.
        multiple: What both sides of an image are extended to a multiple of.
        least: What both sides are extended to at least.
    """

    align_corners = True  # of the resize at SMP's end

    def __init__(self, network: Any, num_classes: int, multiple: int, least: int) -> None:  # noqa: ANN401
        super().__init__()
        self.num_classes = num_classes
        self.multiple = multiple
        self.least = max(multiple, least)
        self.encoder: nn.Module = network.encoder
        self.decoder: nn.Module = network.decoder
        head = network.segmentation_head
        # DPT's head resizes in its forward; the others are a convolution, the resize and an activation.
        self.segmentation_head = (
            nn.ModuleDict({"head": head.head}) if hasattr(head, "head") else nn.ModuleList([head[0]])
        )
        _make_exportable(self)
        self.stride = 1
        self.stride = self._try_out()

    @property
    def backbone(self) -> nn.Module:
        """The trunk that may be trained on ImageNet, under the parameter names it was published with."""
        inner = getattr(self.encoder, "model", None)  # timm's network within SMP's encoder
        return inner if isinstance(inner, nn.Module) else self.encoder

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/stride), ceil(W/stride)]``."""
        height, width = images.shape[-2:]
        bottom, right = self._missing(height), self._missing(width)
        logits = self._logits(F.pad(images, (0, right, 0, bottom), mode="replicate"))
        # Cropped by negative padding: the exporter ties a slice to the traced size.
        stride = self.stride
        down = (height + stride - 1) // stride - (height + bottom) // stride
        across = (width + stride - 1) // stride - (width + right) // stride
        return Output(F.pad(logits, (0, across, 0, down)))

    def _missing(self, side: int) -> int:
        """Return by how much a side falls short of what the network needs."""
        whole = (side + self.multiple - 1) // self.multiple * self.multiple
        if self.least > self.multiple:
            whole = torch.sym_max(whole, self.least)  # type: ignore[assignment]
        return whole - side

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        features = self.encoder(images)
        # Transformers for DPT return maps and tokens; the others one list of maps.
        x: torch.Tensor = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        for layer in self.segmentation_head.children():
            x = layer(x)
        return x

    def _try_out(self) -> int:
        """Run the network once; return its stride, and freeze the parameters that its logits do not depend on."""
        self.eval()
        parameters = [value for value in self.parameters() if value.requires_grad]
        height, width = self.least, 2 * self.least
        with torch.enable_grad():
            logits = self._logits(torch.zeros(1, 3, height, width))
            gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
        for value, gradient in zip(parameters, gradients, strict=True):
            value.requires_grad_(gradient is not None)
        self.train()
        rows, columns = logits.shape[-2:]
        stride = height // rows
        if (rows * stride, columns * stride) != (height, width):
            raise ValueError(f"an image of {height} x {width} gives {rows} x {columns} logits")
        return stride


def _make_exportable(network: nn.Module) -> None:
    """Replace what exporters get wrong at sizes other than the traced one; names and shapes of weights stay."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.AdaptiveAvgPool2d):
            sides = set(child.output_size) if isinstance(child.output_size, tuple) else {child.output_size}
            bins = sides.pop()
            if not sides and isinstance(bins, int) and bins > 1:
                setattr(network, name, AdaptiveAvgPool(bins))
            continue
        if type(child).__name__ == "PSPBlock":
            setattr(network, name, _PyramidLevel(child.pool))  # type: ignore[arg-type]
        _make_exportable(getattr(network, name))


def _import(name: str) -> ModuleType:
    try:
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module(name)
    except ImportError as error:
        raise RecipeError(f"networks of {_LIBRARY} need {name} ({error})", remedy=_REMEDY) from error


@contextmanager
def _quiet_on_cpu() -> Iterator[None]:
    """Build on the CPU, whatever the default device: some encoders compute with numbers as they are built."""
    with warnings.catch_warnings(action="ignore"), torch.device("cpu"), torch.inference_mode(False):
        yield


def encoders() -> tuple[str, ...]:
    """Return the names of all encoders: those of SMP, and ``tu-NAME`` for the networks of timm.

    Raises:
        RecipeError: If segmentation_models_pytorch or timm is not installed.
    """
    own = _import(f"{_LIBRARY}.encoders").encoders
    return (*sorted(own), *(f"tu-{name}" for name in sorted(_import("timm").list_models())))


def smp(num_classes: int, architecture: str, encoder: str, **options: Any) -> SMPNet:  # noqa: ANN401 - SMP's own
    """Build a network of segmentation_models_pytorch with fresh weights.

    Args:
        num_classes: Channels of the logits.
        architecture: One of `roadseg.models.generic.SMP`.
        encoder: One of `encoders`.
        **options: Of the architecture, such as ``encoder_depth`` or ``decoder_channels``; for ``tu-`` encoders also
            those of the network in timm.

    Raises:
        RecipeError: If there is no such network or option, or architecture and encoder do not fit together.
    """
    name = f"smp:{architecture}/{encoder}"
    _check_encoder(architecture, encoder, name)
    kind = _class_of(architecture)
    _check_options(kind, encoder, options, name)
    device = torch.get_default_device()
    failure: Exception = ValueError("nothing was tried")
    for extra in _ANY_SIZE if encoder.startswith("tu-") else _ANY_SIZE[:1]:
        network = None
        try:
            with _quiet_on_cpu():
                network = kind(
                    encoder_name=encoder, encoder_weights=None, classes=num_classes, **{**extra, **options}
                )
                return SMPNet(network, num_classes, *_sizes(architecture, network)).to(device)
        except _MISFITS as error:
            failure = error if network is not None or not extra else failure
        if network is None and not extra:  # not even built: no matter of sizes
            break
    raise _misfit(architecture, encoder, name, failure) from failure


def _check_encoder(architecture: str, encoder: str, name: str) -> None:
    """Refuse names that SMP or timm do not know; timm would download from some of them."""
    own = _import(f"{_LIBRARY}.encoders").encoders
    kind, _, rest = encoder.partition("-")
    if (kind == "tu" and _import("timm").is_model(rest)) or encoder in own:
        if architecture == "dpt" and kind != "tu":
            raise RecipeError(
                "is built on networks of timm alone",
                where=f"model {name}",
                remedy="write tu-NAME, for example tu-vit_base_patch16_224",
            )
        return
    raise RecipeError(
        f"there is no encoder {encoder!r}",
        where=f"model {name}",
        remedy=f"{near(encoder, encoders())}all are listed by roadseg.models.smp.encoders()",
    )


def _class_of(architecture: str) -> Any:  # noqa: ANN401 - a class of SMP, which is not typed
    library = _import(_LIBRARY)
    classes = {name.lower(): getattr(library, name) for name in library.__all__ if name[0].isupper()}
    if architecture not in classes:
        raise RecipeError(
            f"{_LIBRARY} {library.__version__} has no architecture {architecture!r}", remedy=_REMEDY
        )
    return classes[architecture]


def _check_options(kind: Any, encoder: str, options: Mapping[str, object], name: str) -> None:  # noqa: ANN401
    """Refuse what has one right value here, what would load files, and what nobody takes."""
    where = f"model {name}"
    for key in options:
        if key in _FIXED:
            raise RecipeError(f"has no option {key}: {_FIXED[key][1]}", where=where)
    known = _option_names(kind)
    refused = sorted(set(options) - known)
    if encoder.startswith(
        "tu-"
    ):  # the network in timm may take more, but what loads files is not for options
        loading = set(inspect.signature(_import("timm").create_model).parameters)
        refused = [key for key in refused if key in loading | {"in_chans", "features_only"}]
    if refused:
        raise RecipeError(
            f"has no option {', '.join(refused)}",
            where=where,
            remedy=f"its options are {', '.join(sorted(known))}",
        )


def _option_names(kind: Any) -> set[str]:  # noqa: ANN401
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = {each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD}
    return named - {"self", "encoder_name", *_FIXED}


def _sizes(architecture: str, network: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return what both sides of an image must be multiples of, and at least."""
    stride = int(network.encoder.output_stride)
    least = 32  # transformers reduce their first map by 8 once more
    if architecture == "dpt":  # its deepest map is halved once more, and must match when it is doubled again
        return math.lcm(stride, 2 ** (len(network.encoder.out_channels) + 1)), least
    if architecture == "pan":  # it halves the deepest map three times
        return stride, 8 * stride
    return stride, least


def _misfit(architecture: str, encoder: str, name: str, error: Exception) -> RecipeError:
    """Say in one sentence why a network cannot be built."""
    title, text = SMP[architecture].title, str(error)
    remedy = "take another encoder or architecture, or other options"
    if architecture in _DILATED and (isinstance(error, AssertionError) or _NO_DILATION.search(text)):
        what = f"{title} needs an encoder that can keep its resolution by dilation, which {encoder} cannot"
        remedy = (
            "take another encoder, such as resnet50, or an architecture that does not dilate, such as fpn"
        )
    elif "downsampling pattern" in text:
        what = f"{title} needs maps at 1/4, 1/8, 1/16 and 1/32, which {encoder} does not give"
        remedy = "take another encoder; plain vision transformers go with dpt"
    else:
        what = f"{title} cannot be built on {encoder} with these options ({text or type(error).__name__})"
    return RecipeError(what, where=f"model {name}", remedy=remedy)


# Preprocessing

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
_EXCEPTIONS = {"inception": _HALF, "xception": _HALF, "dpn": _DPN}
"""Native encoders, by the beginning of their names, whose ImageNet weights were not trained with ImageNet's own
statistics; SMP asks the network for what this table says."""


def preprocess_of(encoder: str, weights: str = "imagenet") -> dict[str, object]:
    """Return how images were prepared when an encoder was trained on ImageNet.

    Args:
        encoder: One of `encoders`; a ``tu-`` name may end in the tag of its weights in timm.
        weights: Which of SMP's weights; only ``advprop`` makes a difference.

    Returns:
        The fields ``order``, ``mean`` and ``std`` of `roadseg.recipes.Preprocess`, on the 0..255 scale.

    Raises:
        RecipeError: If there is no such encoder.
    """
    _check_encoder("", encoder, encoder)
    mean, std = _statistics(encoder, weights)
    return {
        "order": "RGB",
        "mean": tuple(round(255 * value, 4) for value in mean),
        "std": tuple(round(255 * value, 4) for value in std),
    }


def _statistics(encoder: str, weights: str) -> tuple[Sequence[float], Sequence[float]]:
    in_timm = encoder.removeprefix("tu-")
    if encoder.startswith("timm-tf_efficientnet_lite"):  # the one sort of timm's weights that SMP renames
        in_timm = encoder.removeprefix("timm-")
    if in_timm != encoder:
        found = _import("timm").get_pretrained_cfg(in_timm)
        return _IMAGENET if found is None else (found.mean, found.std)
    if weights == "advprop":
        return _HALF
    return next((value for start, value in _EXCEPTIONS.items() if encoder.startswith(start)), _IMAGENET)


# Folders


def read_folder(path: str | Path) -> tuple[str, int, dict[str, object], Path]:
    """Read what ``save_pretrained`` of segmentation_models_pytorch wrote, without running anything in it.

    Args:
        path: The folder, with ``config.json`` and ``model.safetensors``.

    Returns:
        The name to build the network by, its number of classes, its options, and the file of its weights.

    Raises:
        WeightsError: If a file is missing or cannot be read, or describes no network that can be built here.
    """
    folder = Path(path)
    file = folder / "config.json"
    config = _read_config(file)
    kind = config.pop("_model_class", None)
    if not isinstance(kind, str) or kind.lower() not in SMP:
        raise WeightsError(
            f"is of the unknown class {kind!r}",
            where=file,
            remedy=f"known are the architectures of {_LIBRARY}: {', '.join(SMP)}",
        )
    architecture = kind.lower()
    encoder, num_classes = config.pop("encoder_name", "resnet34"), config.pop("classes", 1)
    if not isinstance(encoder, str) or type(num_classes) is not int or not 0 < num_classes < _MAX_CLASSES:
        raise WeightsError(f"has encoder {encoder!r} and {num_classes!r} classes", where=file, remedy=_AGAIN)
    for key, remedy in (("in_channels", _RGB), ("aux_params", _NO_CLASSIFIER)):
        if config.get(key, _FIXED[key][0]) != _FIXED[key][0]:
            raise WeightsError(f"has {key} {config[key]!r}", where=file, remedy=remedy)
    options = {key: value for key, value in config.items() if not key.startswith("_") and key not in _FIXED}
    name = f"smp:{architecture}/{encoder}"
    try:
        split(name)
        _check_encoder(architecture, encoder, name)
        _check_options(_class_of(architecture), encoder, options, name)
    except RecipeError as error:
        raise WeightsError(error.what, where=file, remedy=error.remedy) from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise WeightsError("does not exist", where=weights, remedy=_AGAIN)
    return name, num_classes, options, weights


_AGAIN = f"give a folder that save_pretrained of {_LIBRARY} wrote"
_RGB = "only networks for images of three channels can be converted"
_NO_CLASSIFIER = (
    "take the classifier of whole images off first: load it with segmentation_models_pytorch, set "
    "classification_head to None, and save the state_dict"
)
_MAX_CONFIG, _MAX_CLASSES = 2**20, 2**16  # more is no network for road scenes


def _read_config(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            config = json.loads(stream.read(_MAX_CONFIG))
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=file, remedy=_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"is not valid JSON ({error})", where=file, remedy=_AGAIN) from error
    if not isinstance(config, dict):
        raise WeightsError(f"holds a {type(config).__name__}, not an object", where=file, remedy=_AGAIN)
    return config
