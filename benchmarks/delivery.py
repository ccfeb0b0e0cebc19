"""How a benchmark hands over what it measured."""

import json
import sys
from pathlib import Path

__all__ = ["deliver"]


def deliver(
    report: dict,
    table: str = "",
    *,
    json_file: Path | None = None,
    table_file: Path | None = None,
    title: str = "",
) -> None:
    """Print the report as JSON to stdout and its table to stderr; on request, write both to files.

    Args:
        report: What was measured.
        table: The same for people.
        json_file: Where to write the JSON too.
        table_file: Where to write the table too, as a page.
        title: What the page begins with.
    """
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if table:
        sys.stderr.write(table + "\n")
    if json_file is not None:
        json_file.write_text(text)
    if table_file is not None:
        table_file.parent.mkdir(parents=True, exist_ok=True)
        table_file.write_text(f"{title}\n\n{table}\n")
