"""The flags of every command as data: ``python -m tests.cli.frozen_flags`` writes them anew after a wanted change."""

import contextlib
import functools
import io
import json
import os
import re
from pathlib import Path
from unittest import mock

from roadseg.cli import main
from roadseg.cli.entry import COMMANDS

FILE = Path(__file__).with_name("flags.json")
RECIPE = "fast-scnn.camvid"


@functools.cache
def current_flags() -> dict[str, list[str]]:
    """Return the flags and positional arguments of every command, sorted, as its help shows them."""
    found = {name: flags_of(*name.split()) for name in COMMANDS}
    own = set(found["train"])
    found["train RECIPE"] = [flag for flag in flags_of("train", RECIPE) if flag not in own]
    return found


def flags_of(*command: str) -> list[str]:
    """Return the flags and positional arguments in the help of a command."""
    text = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS="80"), contextlib.redirect_stdout(text):
        assert main([*command, "--help"]) == 0
    names: set[str] = set()
    for line in text.getvalue().splitlines():
        # Rows begin beside the frame, or where it would be; two spaces separate flags from their help.
        row = re.match(r"[│ ] (?=[-A-Z\[])(.*?)  ", f"{line}  ")
        if row is not None:
            names.update(re.findall(r"(?<!\S)--?[a-z][\w.-]*", row[1]))
            names.update(re.findall(r"^\[?[A-Z_.]{3,}\]?(?=[ │]*$)", row[1]))
    return sorted(names - {"-h", "--help"})


if __name__ == "__main__":
    FILE.write_text(json.dumps(current_flags(), indent=2) + "\n", encoding="utf-8")
