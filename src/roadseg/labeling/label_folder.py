"""The folder that labels of a network are written to.

::

    labels/KEY.png          what the network says everywhere, in the stored ids of the data set
    labels/KEY_prob.png     its confidence, floor(255 p): with the former, what `with_autolabels` reads
    masks/KEY.png           the trusted labels, all else ignored: with the following, a data set of its own
    data.yaml, train.txt    the pictures, where they are, and their masks
    space.toml              the label space, where it does not come with roadseg
    thresholds.toml         from which confidence on each class is trusted
    statistics.json         what became of the pixels
    calibration.json        the counts that calibrated thresholds follow from, where there are any
    preview.jpg             some pictures to look at, where they are asked for
    autolabel.json          by what all this was made
    manifest.jsonl          which pictures are finished
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.data.autolabels import probability_file
from roadseg.errors import OutputError
from roadseg.labels import LabelSpace, space, space_names
from roadseg.media import write_json, write_text
from roadseg.media.writing import write_lines

__all__ = ["LabelFolder"]

_ABSENT = object()
_NAMES = ("labels", "masks", "data.yaml", "train.txt", "space.toml")


@dataclass(frozen=True)
class LabelFolder:
    """Where everything lies.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The data set file."""
        return self.root / "data.yaml"

    @property
    def thresholds(self) -> Path:
        """The file of thresholds."""
        return self.root / "thresholds.toml"

    @property
    def statistics(self) -> Path:
        """What became of the pixels."""
        return self.root / "statistics.json"

    @property
    def calibration(self) -> Path:
        """The counts that thresholds were derived from."""
        return self.root / "calibration.json"

    @property
    def preview(self) -> Path:
        """A sheet of pictures to look at."""
        return self.root / "preview.jpg"

    def files(self, key: str) -> dict[str, Path]:
        """Return the files of a picture, by kind."""
        labels = self.root / "labels" / f"{key}.png"
        masks = self.root / "masks" / f"{key}.png"
        return {"labels": labels, "confidence": probability_file(labels), "masks": masks}

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse to add to labels that were made otherwise.

        Args:
            settings: What labels depend on, all of it or a part.

        Raises:
            OutputError: The folder holds labels of other settings, and the differences are named; or another data set,
                whose files would be overwritten.
        """
        path = self.root / "autolabel.json"
        if not path.exists():
            self._check_free()
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            differences = [
                _difference(name, value, before.get(name, _ABSENT))
                for name, value in settings.items()
                if before.get(name, _ABSENT) != _as_json(value)
            ]
        except (OSError, ValueError, AttributeError) as error:
            raise OutputError(
                "does not say how the labels beside it were made",
                where=path,
                remedy="choose another folder, or delete this one",
            ) from error
        if differences:
            raise OutputError(
                f"holds labels of other settings: {'; '.join(differences)}",
                where=self.root,
                remedy="choose another folder, or delete this one",
            )

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Note what labels depend on.

        Raises:
            OutputError: It cannot be written.
        """
        write_json(self.root / "autolabel.json", settings)

    def write_data(self, pictures: Iterable[tuple[Path, str]], labels: LabelSpace, license_text: str) -> None:
        """Make the folder a data set of pictures that stay where they are.

        Args:
            pictures: Each picture and its key.
            labels: The label space of the masks.
            license_text: What the labels may be used for.

        Raises:
            OutputError: It cannot be written.
        """
        lines = [
            # Links are kept: what they lead to may have another name.
            f"{os.path.abspath(image)}\t{self.files(key)['masks'].relative_to(self.root).as_posix()}"  # noqa: PTH100
            for image, key in pictures
        ]
        write_lines(self.root / "train.txt", lines)
        write_text(
            self.data,
            "# Pictures with labels that a network made; what it was not sure of is ignored.\n"
            f"train: train.txt\nspace: {self._write_space(labels)}\n"
            f"license: {json.dumps(license_text, ensure_ascii=False)}\n",
        )

    def _check_free(self) -> None:
        """Refuse a folder with files of the names that are to be written."""
        taken = [name for name in _NAMES if (self.root / name).exists()]
        if taken:
            raise OutputError(
                f"holds {', '.join(taken)}, which `roadseg autolabel` did not write and would overwrite",
                where=self.root,
                remedy="choose another folder",
            )

    def _write_space(self, labels: LabelSpace) -> str:
        """Return what a data.yaml calls a label space, writing its file where it has no name."""
        name = labels.name
        if name in space_names():
            if space(name) == labels:
                return name
            name = f"{name}-labels"  # of a kitti.yaml, say: two spaces cannot have one name
        rows = [f"    {_toml_class(item.__dict__)}," for item in labels.classes]
        head = [f"name = {json.dumps(name, ensure_ascii=False)}", f"ignore = {labels.ignore}"]
        write_text(self.root / "space.toml", "\n".join([*head, "classes = [", *rows, "]"]) + "\n")
        return "space.toml"


def _toml_class(item: Mapping[str, Any]) -> str:
    """Return a class as an inline table: texts, numbers, lists and truth values are written as in JSON."""
    values = {**item, "color": list(item["color"])}
    return (
        "{ "
        + ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
        + " }"
    )


def _as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def _difference(name: str, value: object, before: object) -> str:
    """Say in a few words how a setting differs."""
    if isinstance(value, Mapping) and isinstance(before, Mapping):
        changed = [key for key in value if value[key] != before.get(key)]
        return f"{name} of {', '.join(map(str, changed))}"
    told = [json.dumps(one) for one in (value, before) if one is not _ABSENT]
    if any(len(text) > 60 for text in told):
        return f"other {name}"
    return f"{name} {told[0]} instead of {told[1]}" if len(told) == 2 else f"{name} {told[0]}"
