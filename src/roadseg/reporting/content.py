"""What a report tells: a score as `roadseg evaluate` saved it, or the folder of a training run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.errors import InputError
from roadseg.media.run_files import METRICS, RUN

__all__ = ["Content", "read_content", "worst_images"]

_REMEDY = "name a score saved by `roadseg evaluate --out`, or the folder of a training run"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What was found at a path.

    Attributes:
        title: What the report is about.
        source: The file or folder.
        score: A score as JSON, with at least ``miou`` and ``classes``; None for a run that was never validated.
        curve: Rows of a training run: ``step``, ``epoch``, ``loss``, ``lr``, ``val``; empty without one.
        recipe: Name of the run's recipe, or an empty text.
    """

    title: str
    source: Path
    score: Mapping[str, Any] | None
    curve: tuple[Mapping[str, Any], ...] = ()
    recipe: str = ""


def read_content(path: Path) -> Content:
    """Read a score or a training run.

    A run's score is that of its best validation.

    Raises:
        InputError: The path does not exist, or holds neither.
    """
    if path.is_dir():
        return _read_run(path)
    score = _read_json(path)
    if not _is_score(score):
        raise InputError("is JSON, but no score", where=path, remedy=_REMEDY)
    return Content(title=_title(score) or path.stem, source=path, score=score)


def worst_images(score: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    """Return the images of a score with the lowest mean IoU, the worst first; empty where they were not kept."""
    rows = score.get("per_image") or ()
    known = [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("miou"), int | float)]
    return sorted(known, key=lambda row: (row["miou"], str(row.get("key", ""))))[:count]


def _read_run(folder: Path) -> Content:
    metrics = folder / METRICS
    if not metrics.is_file():
        raise InputError(f"holds no {METRICS}", where=folder, remedy=_REMEDY)
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(_read_text(metrics).splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, Mapping) or not isinstance(row.get("step"), int):
            raise InputError(f"line {number} is damaged", where=metrics, remedy="remove that line")
        rows.append(row)
    scores = [row["val"] for row in rows if _is_score(row.get("val"))]
    run = _read_json(folder / RUN) if (folder / RUN).is_file() else {}
    recipe = run.get("recipe") if isinstance(run, Mapping) else None
    return Content(
        title=folder.resolve().name,
        source=folder,
        score=max(scores, key=lambda score: score["miou"] or 0.0) if scores else None,
        curve=tuple(rows),
        recipe=str(recipe.get("name", "")) if isinstance(recipe, Mapping) else "",
    )


def _is_score(data: object) -> bool:
    if not isinstance(data, Mapping):
        return False
    classes = data.get("classes")
    return (
        isinstance(data.get("miou"), int | float | None)
        and "miou" in data
        and isinstance(classes, Mapping)
        and all(isinstance(row, Mapping) for row in classes.values())
    )


def _title(score: Mapping[str, Any]) -> str:
    protocol = score.get("protocol")
    data = protocol if isinstance(protocol, Mapping) else {}
    where = " ".join(str(data[key]) for key in ("dataset", "split") if data.get(key))
    weights = Path(str(score.get("weights") or "")).name
    return " on ".join(part for part in (weights, where) if part)


def _read_json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(_read_text(path))
    except ValueError as error:
        raise InputError("is not JSON", where=path, remedy=_REMEDY) from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("does not exist", where=path, remedy=_REMEDY) from error
    except UnicodeDecodeError as error:
        raise InputError("is not JSON", where=path, remedy=_REMEDY) from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=path, remedy="check its permissions"
        ) from error
