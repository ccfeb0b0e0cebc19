"""The flags of every command as data: ``python -m tests.cli.frozen_flags`` writes them anew after a wanted change."""

import json
from pathlib import Path

import tyro

from roadseg.cli.entry import COMMANDS, command_class
from roadseg.cli.train import Train, find_recipe, with_recipe_flags

FILE = Path(__file__).with_name("flags.json")


def current_flags() -> dict[str, list[str]]:
    """Return the option strings and the positional arguments of every command, sorted."""
    found = {name: _flags(command_class(name)) for name in COMMANDS}
    own = set(found["train"])
    found["train RECIPE"] = [
        flag for flag in _flags(with_recipe_flags(Train, find_recipe("fast-scnn.camvid"))) if flag not in own
    ]
    return found


def _flags(command: type) -> list[str]:
    from roadseg.cli.train import REGISTRY

    parser = tyro.extras.get_parser(command, config=(tyro.conf.AvoidSubcommands,), registry=REGISTRY)
    names: set[str] = set()
    for action in parser._actions:
        names.update(action.option_strings or [str(action.metavar or action.dest)])
    return sorted(names - {"-h", "--help"})


if __name__ == "__main__":
    FILE.write_text(json.dumps(current_flags(), indent=2) + "\n", encoding="utf-8")
