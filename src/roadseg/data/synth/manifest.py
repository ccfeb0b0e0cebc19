"""What a folder of synthetic streets says about itself: synth.json, README.md, and the lists its layout asks for."""

import json
from pathlib import Path

from roadseg.errors import OutputError
from roadseg.labels import space
from roadseg.media import write_json, write_text

__all__ = ["MANIFEST", "check_folder", "finish"]

MANIFEST = "synth.json"
VERSION = 1  # of the renderer: raised when the same seed gives other pictures
LICENSE = "CC0 1.0 (rendered by roadseg; no photographs or other assets are part of it)"


def check_folder(root: Path, facts: dict[str, object]) -> None:
    """Makes sure that a folder is empty, absent, or an earlier part of the same data set, and marks it.

    Raises:
        OutputError: It holds something else, or cannot be used.
    """
    mark = root / MANIFEST
    wanted = {**facts, "renderer": VERSION}
    try:
        text = mark.read_text(encoding="utf-8") if mark.is_file() else None
        occupied = root.is_dir() and any(root.iterdir())
    except OSError as error:
        raise OutputError(
            f"cannot be read ({error.strerror})", where=root, remedy="choose another folder"
        ) from error
    if text is None:
        if occupied:
            raise OutputError("holds other files", where=root, remedy="choose an empty or new folder")
        write_json(mark, wanted)
        return
    try:
        found = json.loads(text)
        other = [key for key, value in wanted.items() if found.get(key) != json.loads(json.dumps(value))]
    except (ValueError, AttributeError) as error:
        raise OutputError("is damaged", where=mark, remedy="remove the folder and render again") from error
    if other:
        raise OutputError(
            f"holds streets rendered with another {', '.join(other)}",
            where=root,
            remedy="choose another folder, or the same settings to go on",
        )


def finish(root: Path, facts: dict[str, object], images: int, sequences: int, splits: dict[str, int]) -> None:
    """Write the description of a complete data set."""
    write_json(
        root / MANIFEST,
        {**facts, "renderer": VERSION, "images": images, "sequences": sequences, "complete": True},
    )
    if facts["layout"] == "camvid":
        for split in splits:
            names = sorted(path.name for path in (root / split).glob("*.png"))
            write_text(
                root / f"{split}.txt", "".join(f"{split}/{name} {split}annot/{name}\n" for name in names)
            )
    if facts["layout"] == "yaml" and splits:
        write_text(root / "data.yaml", _yaml(list(splits)))
    write_text(root / "README.md", _readme(facts, images, sequences))


def _yaml(splits: list[str]) -> str:
    classes = space("cityscapes-19")
    lines = ["# Synthetic streets; masks hold Cityscapes train ids.", "path: ."]
    lines += [f"{split}: images/{split}" for split in splits]
    lines += ["masks_dir: masks", f"ignore: {classes.ignore}", "names:"]
    lines += [f"  {item.id}: {item.name}" for item in classes.classes]
    return "\n".join([*lines, f'license: "{LICENSE}"', ""])


def _readme(facts: dict[str, object], images: int, sequences: int) -> str:
    height, width = facts["size"] if isinstance(facts["size"], list) else (0, 0)
    return f"""# Synthetic streets

{images} pictures and {sequences} sequences, {width} x {height} pixels, rendered by roadseg from seed {facts["seed"]}
in the layout `{facts["layout"]}`. Labels are exact: they come from the geometry that was drawn. `{MANIFEST}` holds all
settings; the same settings give the same files.

Flow files (`*.npz`) hold `flow`, float32 [H, W, 2]: pixels (x, y) to the same surface point in the next frame, and
`valid`, bool [H, W]: whether that point is visible there.

License: {LICENSE}
"""
