"""``roadseg data cache``: decode a data set once, so that training need not."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from roadseg.cli.terminal import Flag, Talk, Terminal, duration, size_text
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.data.cache import Built

__all__ = ["DataCache"]


@dataclass(frozen=True, kw_only=True)
class DataCache:
    """Decode the images of a data set once, into a folder that training reads instead.

    An interrupted call goes on when it is repeated; a repeated one decodes what is new or has changed. Data sets of one
    label space can share a cache.

        roadseg data cache fast/ --data cityscapes/
        roadseg data cache fast/ --data cityscapes/ --split train+val --verify
        roadseg data cache fast/ --remove

    Attributes:
        cache: Folder to fill, on a fast disk: 4 bytes per pixel.
        data: Folder of a data set or its data.yaml; NAME:PATH forces a layout.
        split: Split to decode; train+val joins two.
        workers: Processes that decode (default: one per processor, at most 8); 0 decodes in this one.
        verify: Read what is there already, and decode again what does not match its checksum.
        remove: Delete the cache.
    """

    cache: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CACHE", help_behavior_hint="")]
    data: Annotated[str, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="")] = ""
    split: Annotated[str, tyro.conf.arg(metavar="NAME")] = "train"
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    verify: Flag = False
    remove: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Build or delete, and say what was done."""
        if self.remove:
            return self._remove()
        if not self.data:
            raise InputError("no data set was given", remedy="name it with --data, or --remove the cache")
        started = time.monotonic()
        try:
            built = self._build()
        except KeyboardInterrupt as stop:
            stop.add_note("go on with the same command")
            raise
        seconds = time.monotonic() - started
        self.terminal.emit(
            {
                "cache": str(built.folder),
                "made": built.made,
                "kept": built.kept,
                "remade": [str(path) for path in built.remade],
                "bytes": built.bytes,
                "seconds": round(seconds, 1),
            }
        )
        for path in built.remade:
            self.terminal.note(f"{path} was damaged or out of date and is made anew")
        kept = f", {built.kept} were there already" if built.kept else ""
        self.terminal.say(
            f"{built.made} images decoded in {duration(seconds)}{kept}; {size_text(built.bytes)} in {built.folder}",
            f"  train with it:  roadseg train NAME --data {self.data} --data.cache {built.folder}",
        )
        return 0

    def _build(self) -> "Built":
        from roadseg.data import open_source
        from roadseg.data.cache import build_cache

        with self.terminal.progress("decoding", 1) as bar:
            return build_cache(
                open_source(self.data),
                self.split,
                self.cache,
                workers=self.workers,
                verify=self.verify,
                progress=bar.update,
            )

    def _remove(self) -> int:
        from roadseg.data.cache import remove_cache

        count, freed = remove_cache(self.cache)
        self.terminal.emit({"cache": str(self.cache), "removed": count, "bytes": freed})
        self.terminal.say(f"{count} images removed, {size_text(freed)} freed")
        return 0
