"""The networks that roadseg knows by name: torch-free facts, and one function that builds them.

Wherever a model name is taken, ``package.module:callable`` is taken too: the callable gets the number of classes and
the options, and returns a `roadseg.models.output.SegmentationModel`.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from roadseg.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelRow", "build", "names", "row"]


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """What is known about a network without building it.

    Attributes:
        name: Catalog name.
        title: The name its authors gave it, with the year.
        family: Module of `roadseg.models` it lives in.
        factory: ``module:callable`` that builds it.
        paper: Link to the paper.
        options: Keyword arguments of the factory, each with its meaning.
        stride: Image pixels per logit cell.
        params: Trainable parameters for 19 classes, all options at their defaults.
        macs: Multiply-adds for 19 classes at 1024 x 2048, same options.
    """

    name: str
    title: str
    family: str
    factory: str
    paper: str
    stride: int
    params: int
    macs: int
    options: Mapping[str, str] = field(default_factory=dict)


_ALPHAS = {
    "alpha2": "ESP modules at 1/4 of the image (default 2)",
    "alpha3": "ESP modules at 1/8 of the image (default 8; the paper also has 3 and 5)",
}

_ROWS = (
    ModelRow(
        name="espnet",
        title="ESPNet (2018)",
        family="espnet",
        factory="roadseg.models.espnet:espnet",
        paper="https://arxiv.org/abs/1803.06815",
        stride=1,
        params=363_462,
        macs=18_681_135_104,
        options=_ALPHAS
        | {
            "skip": 'what the decoder takes from level 1: "concat" (default; 19 channels, as in the published CamVid '
            'weights) or "features" (16 channels, as in the published Cityscapes weights)'
        },
    ),
    ModelRow(
        name="espnet-c",
        title="ESPNet-C (2018)",
        family="espnet",
        factory="roadseg.models.espnet:espnet_c",
        paper="https://arxiv.org/abs/1803.06815",
        stride=8,
        params=349_193,
        macs=13_872_234_496,
        options=_ALPHAS,
    ),
    ModelRow(
        name="fast-scnn",
        title="Fast-SCNN (2019)",
        family="fast_scnn",
        factory="roadseg.models.fast_scnn:fast_scnn",
        paper="https://arxiv.org/abs/1902.04502",
        stride=8,
        params=1_138_051,
        macs=6_713_204_736,
        options={
            "stem_padding": "padding of the first convolution: 1 (default, the paper) or 0 (published checkpoints)",
            "aux": 'auxiliary classifiers for training: any of "stem" and "context" (default none)',
            "aux_width": "hidden channels of an auxiliary classifier (default 32)",
            "align_corners": "how maps are resized inside, and logits outside (default true, published checkpoints)",
        },
    ),
)


def names() -> tuple[str, ...]:
    """Return the catalog names, sorted."""
    return tuple(entry.name for entry in _ROWS)


def row(name: str) -> ModelRow:
    """Return the facts about the network called ``name``.

    Raises:
        RecipeError: If there is none; the error names the nearest ones.
    """
    for entry in _ROWS:
        if entry.name == name:
            return entry
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), n=2, cutoff=0.5)
    known = f"known are {', '.join(names())}, or your own as package.module:callable"
    raise RecipeError(
        f"there is no model called {name!r}",
        remedy=f"did you mean {' or '.join(near)}? ({known})" if near else known,
    )


def build(name: str, num_classes: int, **options: object) -> "nn.Module":
    """Build a network with fresh weights.

    Args:
        name: A catalog name, or ``package.module:callable``. The latter imports and runs code: never pass on a name
            that was read from a file of unknown origin.
        num_classes: Channels of the logits.
        **options: Keyword arguments of its factory (`ModelRow.options`).

    Raises:
        RecipeError: If the name or an option is unknown, or a value is refused.
    """
    if num_classes < 1:
        raise RecipeError(f"cannot have {num_classes} classes", where=f"model {name}")
    entry = None if ":" in name else row(name)
    factory = _import_factory(name if entry is None else entry.factory)
    _check_options(name, factory, options)
    try:
        model = factory(num_classes, **options)
    except (TypeError, ValueError) as error:
        raise RecipeError(str(error), where=f"model {name}") from error
    return _as_module(name, model)


def _import_factory(path: str) -> Callable[..., object]:
    module_name, _, attribute = path.partition(":")
    try:
        factory: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except (ImportError, ValueError) as error:
        raise RecipeError(f"cannot import {module_name!r} ({error})", where=f"model {path}") from error
    except AttributeError as error:
        raise RecipeError(f"{module_name} has no {attribute!r}", where=f"model {path}") from error
    if not callable(factory):
        raise RecipeError(
            f"{attribute!r} is a {type(factory).__name__}, not a callable", where=f"model {path}"
        )
    return factory


def _check_options(name: str, factory: Callable[..., object], options: Mapping[str, object]) -> None:
    """Name the options that the factory does not take, beside those that it does."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some callables of compiled modules have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters][1:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RecipeError(
            f"has no option {', '.join(unknown)}",
            where=f"model {name}",
            remedy=f"its options are {', '.join(known)}" if known else "it has none",
        )


def _as_module(name: str, model: object) -> "nn.Module":
    from torch import nn

    if not isinstance(model, nn.Module):
        raise RecipeError(f"gave a {type(model).__name__}, not a torch.nn.Module", where=f"model {name}")
    return model
