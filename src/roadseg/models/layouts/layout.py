"""What a form of published weight file is: how it is recognised, translated to our names and back, and read rightly.

Torch-free: of the tensors only names and shapes are looked at.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Convention", "Detected", "Layout", "Shaped", "count", "length", "translate"]


class Shaped(Protocol):
    """A tensor, as far as its recognition goes."""

    @property
    def shape(self) -> Sequence[int]:
        """Its side lengths."""
        ...


Weights = Mapping[str, Shaped]


@dataclass(frozen=True)
class Detected:
    """A network of the catalog, recognised from its weights.

    Attributes:
        model: Catalog name.
        num_classes: Channels of the logits.
        options: The options that leave a trace in the weights; the others keep their defaults.
    """

    model: str
    num_classes: int
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.model}{f' ({options})' if options else ''}, {self.num_classes} classes"


@dataclass(frozen=True, kw_only=True)
class Convention:
    """How the networks of a layout that have a certain number of classes were trained, and so must be used.

    Attributes:
        labels: Name of the label space of the channels.
        preprocess: Fields of `roadseg.recipes.Preprocess` that differ from its defaults (RGB, ImageNet mean and std).
        license: License of the published weights, and of the data they were trained on where it matters.
    """

    labels: str
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    license: str = "unknown"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A form of published weight file.

    Attributes:
        name: Short name, unique among all layouts: ``publisher/network``.
        title: What it is, in words.
        source: Where such files were published.
        marks: Names of tensors that every such file holds; together they tell it from all other layouts.
        recognize: Reads the network, its classes and its options off names and shapes (`marks` are there already);
            None if it is something else after all.
        renames: Pairs of name patterns, theirs and ours; the first that fits a name translates it, other names are
            the same. ``{x}`` stands for one part between dots, ``{rest}`` for everything up to the end; a pair uses
            the same placeholders on both sides, so that it can be read in both directions.
        dropped: Patterns of published names that have no place in ours, such as constants.
        conventions: How to use them, by number of classes.
    """

    name: str
    title: str
    source: str
    marks: tuple[str, ...]
    recognize: Callable[[Weights], Detected | None]
    renames: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    conventions: Mapping[int, Convention] = field(default_factory=dict)

    def detect(self, weights: Weights) -> Detected | None:
        """Return the network that ``weights`` belong to; None if they are of another layout."""
        if not all(mark in weights for mark in self.marks):
            return None
        return self.recognize(weights)

    def to_ours(self, names: Iterable[str]) -> dict[str, str]:
        """Map published names to ours, without those that have no place there."""
        dropped = [_compile(pattern) for pattern in self.dropped]
        kept = (name for name in names if not any(pattern.fullmatch(name) for pattern in dropped))
        return translate(kept, self.renames)

    def to_theirs(self, names: Iterable[str]) -> dict[str, str]:
        """Map our names to the published ones."""
        return translate(names, tuple((ours, theirs) for theirs, ours in self.renames))


def translate(names: Iterable[str], renames: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Map each name to its translation by the first fitting pair of patterns, or to itself."""
    rules = [(_compile(old), new) for old, new in renames]
    return {name: _translated(name, rules) for name in names}


def _translated(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, new in rules:
        if found := pattern.fullmatch(name):
            return new.format(**found.groupdict())
    return name


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    texts = (
        re.escape(part) if index % 2 == 0 else f"(?P<{part}>{'.+' if part == 'rest' else '[^.]+'})"
        for index, part in enumerate(parts)
    )
    return re.compile("".join(texts))


def length(weights: Weights, name: str, axis: int = 0) -> int:
    """Return the length of an axis of a weight, 0 if there is no such weight or axis."""
    shape = weights[name].shape if name in weights else ()
    return int(shape[axis]) if axis < len(shape) else 0


def count(weights: Weights, stage: str) -> int:
    """Count the modules ``stage.0``, ``stage.1`` ... that have weights."""
    pattern = re.compile(re.escape(stage) + r"\.(\d+)\.")
    return len({found[1] for key in weights if (found := pattern.match(key))})
