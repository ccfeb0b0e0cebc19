"""Maps as label space files declare them, by class name; their form is told in :mod:`roadseg.labels.catalog`."""

from collections.abc import Mapping, Sequence

from roadseg.errors import LabelError
from roadseg.labels.mapping import LabelMap
from roadseg.labels.space import LabelSpace

__all__ = ["SAME_NAMES", "Declaration", "inverted", "resolve", "through"]

Declaration = str | Mapping[str, object]  # "same names", or a table {target class: source classes}

SAME_NAMES = "same names"
_ALL_OTHERS, _THROUGH = "all others", "through"


def through(declared: Declaration) -> str:
    """Return the space by which the classes go that the table does not list; empty for none."""
    waypoint = "" if isinstance(declared, str) else declared.get(_THROUGH)
    return waypoint if isinstance(waypoint, str) and waypoint != _ALL_OTHERS else ""


def inverted(names: Mapping[str, str | None]) -> Declaration:
    """Return the table of the map that sends each class where ``names`` says."""
    table: dict[str, list[str]] = {}
    for name, wanted in names.items():
        if wanted is not None:
            table.setdefault(wanted, []).append(name)
    return table


def resolve(
    declared: Declaration, source: LabelSpace, target: LabelSpace, via: LabelMap | None = None
) -> LabelMap:
    """Return the map that a file declares.

    Args:
        declared: What the file says.
        source: The space the map starts from.
        target: The space it leads to.
        via: The map of the classes that the table does not list, where they go through another space.

    Raises:
        LabelError: It is no table, or names a class that does not exist (near matches are named), or sends one to
            two places.
    """
    where = f"map from {source.name} to {target.name}"
    if isinstance(declared, str):
        if declared != SAME_NAMES:
            raise LabelError(f"is {declared!r}", where=where, remedy=f"give a table, or {SAME_NAMES!r}")
        return LabelMap.by_name(source, target)
    table = {wanted: members for wanted, members in declared.items() if wanted != _THROUGH or via is None}
    for wanted in table:
        target.index(wanted)
    names = dict.fromkeys(source.names, _rest(table, where)) if via is None else dict(via.report().goals)
    return LabelMap.by_name(source, target, names | _listed(table, source, where))


def _rest(table: Mapping[str, object], where: str) -> str | None:
    """Return the class that all others become."""
    takers = [wanted for wanted, members in table.items() if members == _ALL_OTHERS]
    if len(takers) > 1:
        raise LabelError(
            f"sends all others to {' and '.join(takers)}", where=where, remedy="choose one of them"
        )
    return takers[0] if takers else None


def _listed(table: Mapping[str, object], source: LabelSpace, where: str) -> dict[str, str]:
    """Return the target of each source class that the table lists."""
    names: dict[str, str] = {}
    for wanted, members in table.items():
        for member in _members(members, wanted, where):
            source.index(member)
            if member in names:
                raise LabelError(
                    f"sends {member} to both {names[member]} and {wanted}",
                    where=where,
                    remedy="choose one of them",
                )
            names[member] = wanted
    return names


def _members(members: object, wanted: str, where: str) -> Sequence[str]:
    if members == _ALL_OTHERS:
        return ()
    if not isinstance(members, list | tuple) or not all(isinstance(name, str) for name in members):
        raise LabelError(
            f"has {wanted} = {members!r}",
            where=where,
            remedy=f"give the list of source classes, or {_ALL_OTHERS!r}",
        )
    return members
