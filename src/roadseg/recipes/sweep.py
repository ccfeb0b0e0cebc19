"""Sweeps: recipes with some of their values varied, expanded into runs.

A plan of a sweep is a mapping, as a TOML file holds it::

    recipe = "fast-scnn.camvid"      # as for `roadseg train`
    data = "camvid/"
    tag = "{optim.lr}-{seed}"        # names the runs; without it, their varied values do

    [flags]                          # of every run
    epochs = 30
    optim.weight-decay = 0.01
    augment.crop = [256, 320]        # several values of one flag

    [grid]                           # every combination, the first key varying slowest
    optim.lr = [0.01, 0.02]
    seed = [0, 1, 2]

    [[variants]]                     # each is expanded on its own: the above, then what it adds or changes
    flags.ema = 0.999

    [[variants]]
    skip = true
    grid.batch-size = [8, 16]
"""

import dataclasses
import difflib
import hashlib
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadseg.errors import RecipeError
from roadseg.recipes.changes import flat
from roadseg.recipes.spec import Recipe

__all__ = ["Member", "expand", "from_python", "read_toml"]

_KEYS = ("recipe", "data", "tag", "flags", "grid", "variants", "skip")
_NOT_VARIED = ("out", "o", "resume", "dry-run", "json", "help", "h")
_OPTIONS = "model.options"
_NOT_COMPARED = ("name", "paper", "expects")
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run of a sweep.

    Attributes:
        name: Unique within the sweep, and safe as the name of a folder.
        recipe: As for `roadseg train`: a name or a reference.
        flags: Values by flag, without leading dashes. True is ``--flag`` and False ``--no-flag``, None and "None" leave
            the flag out, a list gives it several values.
    """

    name: str
    recipe: str
    flags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows ``roadseg train`` on a command line."""
        words: list[str] = [self.recipe]
        options: list[str] = []
        for name, value in self.flags.items():
            if name.startswith(f"{_OPTIONS}."):
                options.append(_option(name.removeprefix(f"{_OPTIONS}."), value))
            else:
                words += _words(name, value)
        return (*words, f"--{_OPTIONS}", *options) if options else tuple(words)


@dataclass(frozen=True)
class _Part:
    """A plan without variants: fixed values, lists to choose from, and the values that set it apart."""

    fixed: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]
    tag: str
    own: tuple[str, ...] = ()

    def then(self, later: "_Part") -> "_Part":
        """Return the part with what a later one adds or changes."""
        fixed = {key: value for key, value in self.fixed.items() if key not in later.grid} | {**later.fixed}
        grid = {key: values for key, values in self.grid.items() if key not in later.fixed} | {**later.grid}
        return _Part(fixed, grid, later.tag or self.tag, tuple(later.fixed))

    def members(self, where: str) -> list[tuple[Member, str]]:
        """Return the part's runs, each with the name it takes where another run has the same."""
        varied = tuple(dict.fromkeys((*self.own, *self.grid)))
        found = []
        for chosen in itertools.product(*self.grid.values()):
            flags = {**self.fixed, **dict(zip(self.grid, chosen, strict=True))}
            recipe = flags.pop("recipe", None)
            if not isinstance(recipe, str) or not recipe:
                raise RecipeError(
                    "names no recipe", where=where, remedy='add for example recipe = "fast-scnn.camvid"'
                )
            values = {"recipe": recipe, **flags}
            label = _label({name: values[name] for name in varied}) or _value_text("recipe", recipe)
            tag = _filled(self.tag, values, where)
            found.append(
                (Member(name=tag or label, recipe=recipe, flags=flags), f"{tag},{label}" if tag else label)
            )
        return found


def read_toml(path: Path) -> tuple[Member, ...]:
    """Return the runs that a TOML file plans.

    Raises:
        RecipeError: It is no plan of a sweep.
    """
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(
            "there is no such file", where=path, remedy="name a FILE.toml or FILE.py"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"is not TOML ({error})", where=path) from error
    return expand(plan, str(path))


def expand(plan: Mapping[str, Any], where: str) -> tuple[Member, ...]:
    """Return the runs of a plan, in its order.

    Args:
        plan: As in this module's example.
        where: Where it comes from, for errors.

    Raises:
        RecipeError: It is no plan of a sweep, or plans a run twice.
    """
    common = _part(plan, where)
    variants = plan.get("variants", ())
    if not isinstance(variants, list | tuple) or not all(isinstance(item, Mapping) for item in variants):
        raise RecipeError("variants is not a list of tables", where=where, remedy="write [[variants]]")
    later = [(_part(item, where), item.get("skip", False)) for item in variants]
    parts = [common.then(part) for part, skipped in later if not skipped] if later else [common]
    found = [pair for part in parts for pair in part.members(where)]
    return _named(found, where)


def from_python(found: object, reference: str) -> tuple[Member, ...]:
    """Return the runs that a Python function planned.

    Args:
        found: A mapping as of `expand`, or a sequence of recipes and of ``(name, flags)``, where the flags hold
            ``recipe`` too.
        reference: The function, as ``FILE.py:FUNCTION``; its recipes are trained as ``FILE.py:FUNCTION[number]``.

    Raises:
        RecipeError: It is neither, or plans a run twice.
    """
    if isinstance(found, Mapping):
        return expand(found, reference)
    if not isinstance(found, Iterable) or isinstance(found, str):
        raise RecipeError(
            f"gives a {type(found).__name__}, not the runs of a sweep",
            where=reference,
            remedy="return a list of recipes or of (name, flags)",
        )
    items = list(found)
    labels = _recipe_labels([item for item in items if isinstance(item, Recipe)])
    pairs = []
    for number, item in enumerate(items):
        if isinstance(item, Recipe):
            name = next(labels)
            member = Member(name=name, recipe=f"{reference}[{number}]")
        else:
            member = _pair_member(item, reference)
        pairs.append((member, member.name))
    return _named(pairs, reference)


def _pair_member(item: object, where: str) -> Member:
    match item:
        case (str(name), Mapping() as flags):
            part = _part({"flags": flags}, where)
            return dataclasses.replace(part.members(f"{where}: {name}")[0][0], name=_safe(name))
        case _:
            raise RecipeError(
                f"gives {item!r} among the runs of the sweep",
                where=where,
                remedy="return a list of recipes or of (name, flags)",
            )


def _recipe_labels(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Return a name for each recipe: its own, or, where they share one, the values that differ."""
    if len({recipe.name for recipe in recipes}) == len(recipes):
        return iter([_safe(recipe.name) for recipe in recipes])
    values = [flat(recipe.to_json()) for recipe in recipes]
    differ = [
        name
        for name in dict.fromkeys(itertools.chain(*values))
        if name not in _NOT_COMPARED and len({repr(item.get(name)) for item in values}) > 1
    ]
    kinds = tuple(name.removesuffix("kind") for name in differ if name.endswith(".kind"))
    # Where losses are of different kinds, say, the kind says more than all that one has and the other has not.
    names = [name for name in differ if name.endswith(".kind") or not name.startswith(kinds)]
    labels = [_label({name.removesuffix(".kind"): item.get(name) for name in names}) for item in values]
    return iter([label or _safe(recipe.name) for label, recipe in zip(labels, recipes, strict=True)])


def _part(table: Mapping[str, Any], where: str) -> _Part:
    for key in table:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            remedy = f"did you mean {close[0]}?" if close else "flags of a run belong under [flags] or [grid]"
            raise RecipeError(f"has an unknown key {key!r}", where=where, remedy=remedy)
    fixed = {key: table[key] for key in ("recipe", "data") if key in table} | _flags(table, "flags", where)
    grid = _flags(table, "grid", where)
    for name, values in grid.items():
        if not isinstance(values, list | tuple) or not values:
            raise RecipeError(
                f"grid: {name} is no list of values",
                where=where,
                remedy=f"write {name} = [...], or put a single value under [flags]",
            )
        if name in fixed:
            raise RecipeError(f"{name} is both fixed and in the grid", where=where, remedy="give it once")
    return _Part(fixed, grid, str(table.get("tag", "")))


def _flags(table: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    section = table.get(key, {})
    if not isinstance(section, Mapping):
        raise RecipeError(f"{key} is not a table", where=where, remedy=f"write [{key}]")
    found = {name.lstrip("-").replace("_", "-"): value for name, value in flat(section).items()}
    for name in found:
        if name in _NOT_VARIED:
            raise RecipeError(
                f"{key}: --{name} is not for the runs of a sweep", where=where, remedy="remove it"
            )
    return found


def _words(name: str, value: object) -> list[str]:
    """Return a flag and its values as words of a command line."""
    if value is None or value == "None":
        return []
    if isinstance(value, bool):
        group, dot, last = name.rpartition(".")
        return [f"--{name}" if value else f"--{group}{dot}no-{last}"]
    items = value if isinstance(value, list | tuple) else [value]
    return [f"--{name}", *map(str, items)]


def _option(name: str, value: object) -> str:
    """Return a network's option as ``KEY=VALUE``; a comma makes a tuple."""
    if isinstance(value, list | tuple):
        text = ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    else:
        text = str(value).lower() if isinstance(value, bool) or value is None else str(value)
    return f"{name}={text}"


def _filled(tag: str, values: Mapping[str, object], where: str) -> str:
    """Return a tag with every ``{name}`` replaced by the run's value."""

    def fill(match: re.Match[str]) -> str:
        name = match[1].strip().replace("_", "-")
        if name not in values:
            raise RecipeError(
                f"the tag names {{{name}}}, which the runs do not set",
                where=where,
                remedy=f"choose among {', '.join(values)}",
            )
        return _value_text(name, values[name])

    return _safe(re.sub(r"\{([^{}]*)\}", fill, tag))


def _label(values: Mapping[str, object]) -> str:
    """Return values as a name: ``lr=0.01,seed=1``; flags go by their last part where that is clear."""
    ends = Counter(name.rpartition(".")[2] for name in values)
    parts = []
    for name, value in values.items():
        last = name.rpartition(".")[2]
        short = last if ends[last] == 1 else name
        text = _value_text(name, value)
        parts.append(text if name == "recipe" else f"{short}={text}")
    return _safe(",".join(parts))


def _value_text(name: str, value: object) -> str:
    if value is None or value == "None":
        return "default"  # the flag is left out
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    text = str(value)
    return text.rpartition(":")[2] if name == "recipe" else text


def _safe(name: str) -> str:
    """Return a name with nothing in it that a shell or a file system might take for something else."""
    return re.sub(r"[^\w.,=+-]+", "-", name, flags=re.ASCII).strip("-.,")


def _named(found: Sequence[tuple[Member, str]], where: str) -> tuple[Member, ...]:
    """Return the members with names that differ even where letters' case does not count."""
    if not found:
        raise RecipeError("plans no runs", where=where, remedy="add a variant that is not skipped")
    seen: dict[tuple[str, ...], str] = {}
    for member, label in found:
        if member.arguments in seen:
            raise RecipeError(
                f"plans the run {label or member.name} twice",
                where=where,
                remedy="remove one, or give them different seeds",
            )
        seen[member.arguments] = label
    names = [member.name for member, _ in found]
    names = [
        label if twice else name for name, (_, label), twice in zip(names, found, _shared(names), strict=True)
    ]
    digests = [hashlib.sha256("\0".join(member.arguments).encode()).hexdigest()[:8] for member, _ in found]
    marked = [
        f"{name[: _LONGEST_NAME - 9] or 'run'}-{digest}"
        if twice or not name or len(name) > _LONGEST_NAME
        else name
        for name, digest, twice in zip(names, digests, _shared(names), strict=True)
    ]
    return tuple(
        dataclasses.replace(member, name=name) for (member, _), name in zip(found, marked, strict=True)
    )


def _shared(names: Sequence[str]) -> list[bool]:
    counts = Counter(name.casefold() for name in names)
    return [counts[name.casefold()] > 1 for name in names]
