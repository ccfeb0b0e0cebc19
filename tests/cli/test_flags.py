import json

import pytest

from roadseg.cli.entry import COMMANDS, command_class
from tests.cli.frozen_flags import FILE, current_flags

FROZEN = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", sorted(FROZEN))
def test_flags_are_the_frozen_ones(command):
    flags = current_flags()
    assert sorted(flags) == sorted(FROZEN)
    assert flags[command] == FROZEN[command], (
        "run `python -m tests.cli.frozen_flags` if this change is wanted"
    )


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_talks_json_and_can_be_quiet(command):
    assert {"--json", "--quiet", "--debug"} <= set(FROZEN[command])


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_is_short_and_has_an_example(run, command):
    result = run(*command.split(), "--help")
    assert result.code == 0
    assert f"roadseg {command}" in result.out.partition("options")[0]
    assert (command_class(command).__doc__ or "").splitlines()[0].rstrip(".") in result.out
    assert len(result.out.splitlines()) <= 60
