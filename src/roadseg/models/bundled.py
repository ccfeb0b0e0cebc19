"""The weight files that ship with roadseg, and what a weight file says about itself; torch-free.

A safetensors file starts with the length of its header (8 bytes, little endian) and the header, a JSON object whose
``__metadata__`` maps texts to texts. Ours holds one entry, ``roadseg``: the card, as JSON.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from roadseg.errors import WeightsError

__all__ = ["CARD_KEY", "DEFAULT_WEIGHTS", "WEIGHTS_SUFFIX", "bundled_weights", "read_card"]

CARD_KEY = "roadseg"
DEFAULT_WEIGHTS = "fast-scnn.camvid-roadseg"
WEIGHTS_SUFFIX = ".safetensors"

_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors format itself


def bundled_weights() -> dict[str, Path]:
    """Return the weight files that ship with roadseg, by name."""
    folder = Path(str(resources.files("roadseg"))) / "weights"
    return {
        file.name.removesuffix(WEIGHTS_SUFFIX): file for file in sorted(folder.glob(f"*{WEIGHTS_SUFFIX}"))
    }


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the card of a weight file as plain JSON values, without reading its tensors.

    Raises:
        WeightsError: The file cannot be read, is no safetensors file, or was not written by roadseg.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
                raise ValueError("no safetensors header")
            header = json.loads(file.read(length))
        card = json.loads(header["__metadata__"][CARD_KEY])
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            "does not say what it is",
            where=path,
            remedy="run `roadseg convert` on it, which writes such a file",
        ) from error
    if not isinstance(card, dict):
        raise WeightsError("does not say what it is", where=path, remedy="convert it again")
    return card
