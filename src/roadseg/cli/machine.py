"""Facts about the machine: memory, disk, devices, installed packages."""

import os
import platform
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

__all__ = [
    "SMALL_DISK",
    "SMALL_SHARED_MEMORY",
    "Device",
    "devices",
    "free_disk",
    "has_module",
    "shared_memory",
    "version",
]

SMALL_SHARED_MEMORY = 1 << 30  # bytes; loader processes hand batches over in it
SMALL_DISK = 1 << 30  # bytes


@dataclass(frozen=True)
class Device:
    """Something to compute on.

    Attributes:
        name: As torch calls it, for example ``cuda:0``.
        title: What it is.
        memory: Its own memory in bytes; None where it shares the machine's.
    """

    name: str
    title: str
    memory: int | None = None


def devices() -> list[Device]:
    """Return the devices that torch can use here; the processor comes last."""
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        found.append(Device(f"cuda:{index}", facts.name, facts.total_memory))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU"))
    title = platform.processor() or platform.machine()
    return [*found, Device("cpu", f"{title}, {os.cpu_count() or 1} cores")]


def free_disk(path: Path) -> int:
    """Return the free bytes on the disk that a path is on or will be on."""
    from roadseg.media.writing import free_disk

    return free_disk(path)


def shared_memory() -> int | None:
    """Return the free bytes of shared memory; None on systems that do not bound it so."""
    from roadseg.data.workers import shared_memory as measure

    return measure()


def has_module(name: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return util.find_spec(name) is not None


def version(package: str) -> str | None:
    """Return the installed version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
