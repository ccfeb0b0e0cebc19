"""What the numbers of predictions mean: said by the user, by the manifest beside them, or by the numbers themselves."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from roadseg.errors import ImageError, InputError
from roadseg.labels import LabelSpace, label_map, space, space_names
from roadseg.media.images import read_mask
from roadseg.media.submissions.benchmark import Benchmark

__all__ = ["Origin", "find_origin", "find_predictions"]

_FOLDER = "labels"  # where `roadseg predict` puts label ids
_MANIFESTS = "manifest*.jsonl"
_SAMPLES = 16  # files whose ids are looked at
_REMEDY = "name the label space they were written in: --from SPACE (`roadseg labels`)"


@dataclass(frozen=True)
class Origin:
    """The label space of predictions.

    Args:
        space: What their ids mean.
        how: Whether that was given, is written in the manifest beside them, or follows from the ids that occur.
    """

    space: LabelSpace
    how: Literal["given", "manifest", "ids"]


def find_predictions(folder: str | Path) -> list[Path]:
    """Find the label pictures that `roadseg predict` wrote: those in ``labels/`` where there is such a folder.

    Raises:
        InputError: There is no such folder, or no ``.png`` in it.
    """
    given = Path(folder)
    if not given.is_dir():
        what = "is no folder" if given.exists() else "does not exist"
        raise InputError(what, where=given, remedy="give the folder that `roadseg predict` wrote to")
    place = given / _FOLDER if (given / _FOLDER).is_dir() else given
    found = sorted(
        path
        for path in place.rglob("*.png")
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    )
    if not found:
        raise InputError(
            "holds no .png files", where=place, remedy="give the folder that `roadseg predict` wrote to"
        )
    return found


def find_origin(
    benchmark: Benchmark, folder: str | Path, files: Sequence[Path], given: LabelSpace | str | None = None
) -> Origin:
    """Find out in what label space predictions were written.

    Args:
        benchmark: The benchmark they are for.
        folder: Folder of the predictions; a manifest lies in it or beside it.
        files: The predictions.
        given: What the user says.

    Raises:
        LabelError: There is no label space of that name, or the one in the manifest is damaged.
        InputError: The manifest names several spaces or one that is not known, or nothing tells which it is.
    """
    if given is not None:
        return Origin(space(given) if isinstance(given, str) else given, "given")
    noted = _noted_space(Path(folder))
    if noted is not None:
        return Origin(noted, "manifest")
    return Origin(_space_by_ids(benchmark, Path(folder), files), "ids")


def _noted_space(folder: Path) -> LabelSpace | None:
    places = [folder, folder.parent] if folder.name == _FOLDER else [folder]
    found: dict[str, str | dict[str, Any]] = {}
    for path in (path for place in places for path in sorted(place.glob(_MANIFESTS))):
        with suppress(OSError, UnicodeDecodeError):
            for line in path.read_text(encoding="utf-8").splitlines():
                found |= _noted_in(line)
    if len(found) > 1:
        raise InputError(
            f"holds predictions in several label spaces ({', '.join(sorted(found))})",
            where=folder,
            remedy="predict into an empty folder",
        )
    for name, noted in found.items():
        if isinstance(noted, dict):
            return LabelSpace.from_json(noted)
        if name not in space_names():
            raise InputError(
                f"holds predictions in {name}, a label space of your own", where=folder, remedy=_REMEDY
            )
        return space(name)
    return None


def _noted_in(line: str) -> dict[str, str | dict[str, Any]]:
    """Return the space that a line of a manifest names; nothing for one that names none, or that was cut short."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        entry = json.loads(line)
        noted = entry.get("facts", entry).get("space", entry.get("space"))
        if isinstance(noted, dict):
            return {str(noted["name"]): noted}
        if isinstance(noted, str):
            return {noted: noted}
    return {}


def _space_by_ids(benchmark: Benchmark, folder: Path, files: Sequence[Path]) -> LabelSpace:
    """Return the networks' space or the official one, whichever the ids of some files are of."""
    official, networks = benchmark.space, space(benchmark.networks)
    if official == networks:
        return official
    ids = _ids_of(files)
    translation = label_map(networks, official)
    # What a network can predict, in either numbering.
    before = {networks.stored_id(number) for number in (*networks.ids, networks.ignore)}
    after = {official.stored_id(number) for _, number in translation.table} | {official.ignore}
    match ids <= before, ids <= after:
        case True, False:
            return networks
        case False, True:
            return official
        case True, True:
            what = (
                f"holds ids ({_listed(ids)}) that mean something in both {networks.name} and {official.name}"
            )
        case _ if ids <= {official.stored_id(number) for number in official.ids}:
            return official
        case _:
            what = f"holds ids ({_listed(ids)}) of neither {networks.name} nor {official.name}"
    raise InputError(what, where=folder, remedy=_REMEDY)


def _ids_of(files: Sequence[Path]) -> set[int]:
    ids: set[int] = set()
    picked = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(_SAMPLES, len(files)))})
    for path in (files[i] for i in picked):
        with suppress(ImageError):  # reported when it is packed
            mask: Any = read_mask(path)
            if mask.ndim == 2:
                ids.update(np.unique(mask).tolist())
    return ids


def _listed(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids))) or "none"
