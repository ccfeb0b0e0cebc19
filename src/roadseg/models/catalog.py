"""The networks that roadseg knows by name: torch-free facts, and one function that builds them.

The facts stand in ``cards/``, one TOML file per family; ``figures.json`` holds the sizes, measured from the networks
themselves (``python -m tests.write_model_figures``).

Wherever a model name is taken, these are taken too:

* ``smp:ARCHITECTURE/ENCODER`` and ``torchvision:NAME``: networks of other libraries (`roadseg.models.generic`).
* ``package.module:callable``: the callable gets the number of classes and the options, and returns a
  `roadseg.models.output.SegmentationModel`.
"""

import difflib
import importlib
import inspect
import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from roadseg.errors import RecipeError
from roadseg.models.generic import LIBRARIES, generic, split

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelRow", "PublishedScore", "PublishedWeights", "build", "is_code", "names", "row"]


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """A score that somebody published for a network.

    Attributes:
        miou: Mean intersection over union, in percent.
        on: Data set, split and what else the score depends on.
        by: Who published it, and where.
    """

    miou: float
    on: str
    by: str


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weight files that somebody published for a network.

    Attributes:
        layout: Name of their layout (`roadseg.models.layouts`).
        where: How to obtain them.
        license: License of the files, and of the data they were trained on where it matters.
    """

    layout: str
    where: str
    license: str = "unknown"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """What is known about a network without building it.

    Attributes:
        name: Catalog name.
        title: The name its authors gave it.
        year: Year of the paper.
        family: Module of `roadseg.models` it lives in.
        factory: ``module:callable`` that builds it.
        fixed: Keyword arguments of the factory that make it this network, such as its trunk.
        paper: Link to the paper.
        options: Other keyword arguments of the factory, each with its meaning.
        stride: Image pixels per logit cell.
        params: Parameters for 19 classes, all options at their defaults; 0 if not measured.
        macs: Multiply-adds for 19 classes at 1024 x 2048, same options; 0 if not measured.
        aux_weights: Weights of its auxiliary outputs in the loss, as published; empty if it has none.
        scores: Published scores.
        weights: Published weight files that can be loaded.
        note: What a user should know before choosing it.
    """

    name: str
    title: str
    year: int
    family: str
    factory: str
    paper: str
    stride: int
    params: int
    macs: int
    fixed: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    aux_weights: tuple[float, ...] = ()
    scores: tuple[PublishedScore, ...] = ()
    weights: tuple[PublishedWeights, ...] = ()
    note: str = ""


_UNMEASURED = {"params": 0, "macs": 0}  # a card that was just added; a test demands its figures


@cache
def _rows() -> Mapping[str, ModelRow]:
    """Read the cards: one TOML file per family, and the measured sizes of all networks."""
    here = resources.files("roadseg.models")
    figures = json.loads((here / "figures.json").read_text(encoding="utf-8"))
    rows = {}
    for card in (here / "cards").iterdir():
        family = card.name.removesuffix(".toml")
        tables = tomllib.loads(card.read_text(encoding="utf-8"))
        shared = tables.pop("family", {})
        meanings = shared.pop("options", {})  # of options that several networks of the family have
        for name, table in tables.items():
            table = {"family": family, **shared, **table, **figures.get(name, _UNMEASURED)}
            if isinstance(table.get("options"), list):
                table["options"] = {option: meanings[option] for option in table["options"]}
            rows[name] = _row(name, table)
    return dict(sorted(rows.items()))


def _row(name: str, table: dict[str, Any]) -> ModelRow:
    table["aux_weights"] = tuple(table.get("aux_weights", ()))
    table["scores"] = tuple(PublishedScore(**score) for score in table.get("scores", ()))
    table["weights"] = tuple(PublishedWeights(**weights) for weights in table.get("weights", ()))
    return ModelRow(name=name, **table)


def names() -> tuple[str, ...]:
    """Return the catalog names, sorted."""
    return tuple(_rows())


def row(name: str) -> ModelRow:
    """Return the facts about the network called ``name``: one of the catalog, ``smp:...`` or ``torchvision:...``.

    Of the latter two neither size nor encoder is looked up, which would take the libraries themselves.

    Raises:
        RecipeError: If there is none; the error names the nearest ones.
    """
    if name in _rows():
        return _rows()[name]
    facts = generic(name)
    if facts is not None:
        return _row(name, {**facts, **_UNMEASURED})
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names(), n=2, cutoff=0.5)
    known = (
        f"known are {', '.join(names())}, smp:ARCHITECTURE/ENCODER, torchvision:NAME, or your own as "
        "package.module:callable"
    )
    raise RecipeError(
        f"there is no model called {name!r}",
        remedy=f"did you mean {' or '.join(near)}? ({known})" if near else known,
    )


def is_code(name: str) -> bool:
    """Tell whether a name is ``package.module:callable``, which imports and runs whatever code it names.

    Names of other libraries (``smp:...``) are not: they are looked up among those that the libraries list.
    """
    return ":" in name and name.partition(":")[0] not in LIBRARIES


def build(name: str, num_classes: int, **options: object) -> "nn.Module":
    """Build a network with fresh weights.

    Args:
        name: A catalog name, ``smp:ARCHITECTURE/ENCODER``, ``torchvision:NAME``, or ``package.module:callable``. The
            last imports and runs code (`is_code`): never pass on such a name from a file of unknown origin.
        num_classes: Channels of the logits.
        **options: Keyword arguments of its factory (`ModelRow.options`).

    Raises:
        RecipeError: If the name or an option is unknown, or a value is refused.
    """
    if num_classes < 1:
        raise RecipeError(f"cannot have {num_classes} classes", where=f"model {name}")
    entry = None if is_code(name) else row(name)
    factory = _import_factory(name if entry is None else entry.factory)
    positional = (num_classes, *split(name)[1:])
    fixed = entry.fixed if entry else {}
    _check_options(name, factory, options, len(positional), fixed)
    try:
        model = factory(*positional, **fixed, **options)
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


def _check_options(
    name: str,
    factory: Callable[..., object],
    options: Mapping[str, object],
    positional: int,
    fixed: Collection[str],
) -> None:
    """Name the options that the factory does not take, beside those that it does."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some callables of compiled modules have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [each.name for each in list(parameters)[positional:] if each.name not in fixed]
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
