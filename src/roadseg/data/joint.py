"""Data sets of several label spaces as one: in a space that they are all translated to, or in the union of theirs."""

from collections.abc import Sequence
from pathlib import Path

from roadseg.data.cache import MARK, Cache, State
from roadseg.data.source import Source
from roadseg.errors import DataError
from roadseg.labels import LabelMap, LabelSpace, space

__all__ = ["UNION", "find_cache", "joined", "union_space"]

UNION = "union"


def joined(sources: Sequence[Source], to: str) -> tuple[Source, ...]:
    """Return data sets translated to one label space.

    Args:
        sources: The data sets.
        to: Name of a label space; ``union`` for all their class names, the naive taxonomy of MSeg; empty for the
            spaces that they have.

    Raises:
        LabelError: There is no such space, or no map leads there from that of a data set.
        DataError: Labels were changed already, see `Source.translated`.
    """
    if not to:
        return tuple(sources)
    if to != UNION:
        return tuple(source.to(space(to)) for source in sources)
    union = union_space([source.target for source in sources])
    return tuple(source.translated(_by_folded_name(source.target, union)) for source in sources)


def union_space(spaces: Sequence[LabelSpace]) -> LabelSpace:
    """Return the space of all class names of some spaces, in lower case, in the order in which they first occur.

    Lambert et al., MSeg, section 5, "naive mix": classes of the same name count as the same, all others as different,
    whatever they mean.
    """
    names = dict.fromkeys(name.lower() for each in spaces for name in _scored(each))
    return LabelSpace.from_names(tuple(names), name=UNION)


def find_cache(folder: Path, source: Source, split: str) -> Path:
    """Return which cache holds a split of a data set: the folder itself, or one of the caches in it.

    Raises:
        DataError: None does.
    """
    if (folder / MARK).exists() or not folder.is_dir():
        return folder
    first = source.find(split)[0]
    for path in sorted(folder.iterdir()):
        try:
            if Cache(path, source).state(first) is not State.MISSING:
                return path
        except DataError:
            continue  # no cache, or one of another label space
    raise DataError(
        f"holds no cache of {source.root}",
        where=folder,
        remedy=f"make one: `roadseg data cache {folder / source.name} --data {source.root}`",
    )


def _scored(labels: LabelSpace) -> list[str]:
    return [item.name for item in labels.classes if item.id != labels.ignore]


def _by_folded_name(source: LabelSpace, union: LabelSpace) -> LabelMap:
    names: dict[str, str | None] = dict.fromkeys(source.names)
    return LabelMap.by_name(source, union, names | {name: name.lower() for name in _scored(source)})
