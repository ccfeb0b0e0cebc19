"""``roadseg doctor``: what roadseg runs on, and what is wrong with it."""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from roadseg import __version__
from roadseg.cli.machine import (
    SMALL_DISK,
    SMALL_SHARED_MEMORY,
    devices,
    free_disk,
    has_module,
    shared_memory,
    version,
)
from roadseg.cli.terminal import Talk, Terminal, size_text

__all__ = ["Doctor", "Finding"]

_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "av", "safetensors", "pyyaml", "tyro", "rich")
_EXTRAS = {"tracking": "tensorboard"}
_SUMS = "sha256sums.txt"
_STYLES = {"ok": "green", "note": "yellow", "bad": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One fact.

    Attributes:
        about: What it is about.
        state: ``ok``; ``note`` for what may limit; ``bad`` for what stops roadseg from working.
        text: The fact.
    """

    about: str
    state: Literal["ok", "note", "bad"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Check this installation: versions, devices, memory, disk, bundled weights, licenses.

    Exit code 1 when something does not work.

        roadseg doctor
        roadseg doctor --json
    """

    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Print all findings; 1 when one is bad."""
        sections = {
            "versions": _versions,
            "devices": _devices,
            "room": _room,
            "weights": _weights,
            "extras": _extras,
            "licenses": _licenses,
        }
        findings = [finding for about, section in sections.items() for finding in _guarded(about, section)]
        table = Table(box=None, show_header=False)
        for item in findings:
            table.add_row(Text(item.state, _STYLES[item.state]), item.about, item.text)
        bad = sum(item.state == "bad" for item in findings)
        self.terminal.say(table, "", f"{bad} things do not work" if bad else "roadseg works here")
        self.terminal.emit({"works": not bad, "findings": [asdict(item) for item in findings]})
        return 1 if bad else 0


def _guarded(about: str, section: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a section; its failure, such as a package that cannot be imported, is one of them."""
    try:
        yield from section()
    except Exception as error:  # noqa: BLE001 - a broken installation fails in ways that nobody can list
        first = next(iter(str(error).splitlines()), "")
        text = f"cannot be examined ({type(error).__name__}: {first}); install roadseg again"
        yield Finding(about, "bad", text)


def _versions() -> Iterator[Finding]:
    yield Finding("roadseg", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()} ({sys.executable})")
    for package in _PACKAGES:
        found = version(package)
        if found is None:
            yield Finding(package, "bad", f"not installed; pip install {package}")
        else:
            yield Finding(package, "ok", found)


def _devices() -> Iterator[Finding]:
    import torch

    found = devices()
    for device in found:
        memory = "" if device.memory is None else f", {size_text(device.memory)}"
        yield Finding(device.name, "ok", f"{device.title}{memory}")
    if len(found) == 1:
        yield Finding(
            "gpu", "note", "none that torch can use; everything works on the processor, training slowly"
        )
    threads = os.environ.get("OMP_NUM_THREADS")
    limit = f" (OMP_NUM_THREADS={threads})" if threads else ""
    yield Finding("threads", "ok", f"{torch.get_num_threads()} for computing{limit}")
    try:
        total = float((torch.ones(8, 8) @ torch.ones(8, 8)).sum())
    except RuntimeError as error:
        yield Finding("torch", "bad", f"cannot compute ({str(error).splitlines()[0]})")
    else:
        yield Finding(
            "torch", "ok" if total == 512 else "bad", "computes" if total == 512 else "computes wrongly"
        )


def _room() -> Iterator[Finding]:
    shared = shared_memory()
    if shared is not None:
        small = shared < SMALL_SHARED_MEMORY
        advice = "; loader processes may fail: use --workers 0, or docker run --shm-size 2g" if small else ""
        yield Finding("shared memory", "note" if small else "ok", f"{size_text(shared)} free{advice}")
    free = free_disk(Path.cwd())
    yield Finding("disk", "note" if free < SMALL_DISK else "ok", f"{size_text(free)} free in {Path.cwd()}")


def _weights() -> Iterator[Finding]:
    from roadseg.errors import WeightsError
    from roadseg.inference import file_sha256
    from roadseg.models.bundled import DEFAULT_WEIGHTS, bundled_weights, read_card

    found = bundled_weights()
    if DEFAULT_WEIGHTS not in found:
        yield Finding("weights", "bad", f"{DEFAULT_WEIGHTS} is missing; install roadseg again")
    for name, path in found.items():
        try:
            card = read_card(path)
        except WeightsError as error:
            yield Finding(name, "bad", f"{error}; install roadseg again")
            continue
        expected = _recorded_sums(path.parent).get(path.name)
        actual = file_sha256(path)
        if expected is not None and actual != expected:
            yield Finding(
                name, "bad", f"has sha256 {actual[:12]}, not {expected[:12]}; install roadseg again"
            )
        else:
            state = "checksum right" if expected else "no checksum recorded"
            yield Finding(
                name, "ok", f"{state}, {size_text(path.stat().st_size)}, license: {card.get('license')}"
            )


def _recorded_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 by file name that the package was built with."""
    path = folder / _SUMS
    if not path.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip().removeprefix("*"): digest for digest, name in rows}


def _extras() -> Iterator[Finding]:
    for extra, module in _EXTRAS.items():
        there = has_module(module)
        text = f"{version(module)}" if there else f"not installed; pip install 'roadseg[{extra}]' adds it"
        yield Finding(module, "ok" if there else "note", text)


def _licenses() -> Iterator[Finding]:
    yield Finding("license", "ok", "the code is Apache-2.0; weights and data sets have terms of their own")
