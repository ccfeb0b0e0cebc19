import errno
import io
import json
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table

from roadseg import __version__
from roadseg.cli import entry, main
from roadseg.cli.entry import COMMANDS, FAULT, INTERRUPTED, PIPE_CLOSED, explain
from roadseg.cli.labels import Labels
from roadseg.cli.terminal import Terminal, duration, percent, size_text
from roadseg.errors import ImageError, InputError

NO_TORCH = """
import sys
from roadseg.cli import main
code = main({arguments})
heavy = sorted({{"torch", "torchvision", "PIL"}} & set(sys.modules))
sys.exit(f"imports {{heavy}}" if heavy else code)
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["models"], ["labels", "camvid-11"], ["predict", "--help"]]
)
def test_imports_no_torch(arguments):
    code = NO_TORCH.format(arguments=arguments)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_is_a_module_too():
    result = subprocess.run(
        [sys.executable, "-m", "roadseg", "--version"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, f"roadseg {__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_overview_names_every_command(run, arguments):
    result = run(*arguments)
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)
    assert "roadseg predict street.jpg" in result.out
    assert result.err == ""


def test_overview_of_a_group(run):
    result = run("data")
    assert result.code == 0
    assert "data check" in result.out
    assert "predict" not in result.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predcit"], "roadseg: error: there is no command 'predcit'; did you mean `roadseg predict`?"),
        (
            ["data", "chekc"],
            "roadseg: error: there is no command 'data chekc'; did you mean `roadseg data check`?",
        ),
        (["xyzzy"], "roadseg: error: there is no command 'xyzzy'; `roadseg --help` lists the commands"),
    ],
)
def test_unknown_commands(run, arguments, sentence):
    result = run(*arguments)
    assert result.code == 2
    assert result.sentence.startswith(sentence)


def test_unknown_flags_are_usage_errors(run):
    result = run("labels", "--colour")
    assert result.code == 2
    assert "--colour" in result.err
    assert result.out == ""


def fail_with(monkeypatch, error):
    def run(_self):
        raise error

    monkeypatch.setattr(Labels, "run", run)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (InputError("is bad", where="x", remedy="mend it"), 2, "roadseg: error: x: is bad; mend it"),
        (InputError("is\nbad"), 2, "roadseg: error: is bad"),
        (MemoryError(), 2, "roadseg: error: out of memory; use smaller pictures"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "roadseg: error: the disk is full; free some space",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "roadseg: error: Permission denied (f)"),
        (ValueError("odd"), FAULT, "roadseg: error: unexpected ValueError: odd; this is a fault of roadseg"),
        (ValueError(), FAULT, "roadseg: error: unexpected ValueError; this is a fault of roadseg"),
        (KeyboardInterrupt(), INTERRUPTED, "roadseg: interrupted"),
    ],
)
def test_every_error_is_one_sentence_and_an_exit_code(run, monkeypatch, error, code, sentence):
    fail_with(monkeypatch, error)
    result = run("labels")
    assert result.code == code
    assert result.sentence.startswith(sentence)
    assert result.out == ""


def test_debug_shows_the_traceback(run, monkeypatch):
    fail_with(monkeypatch, InputError("is bad"))
    result = run("labels", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err
    assert result.err.endswith("roadseg: error: is bad\n")


def test_a_reader_who_goes_away_is_no_error(run, monkeypatch):
    fail_with(monkeypatch, BrokenPipeError())
    result = run("labels")
    assert (result.code, result.out, result.err) == (PIPE_CLOSED, "", "")


def test_a_closed_pipe_is_quiet():
    command = f"{sys.executable} -m roadseg labels cityscapes --json | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stderr == ""


def test_errors_of_loader_processes_lose_their_traceback():
    text = 'Caught ImageError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File "x"'
    error = ImageError(f"{text}\nroadseg.errors.ImageError: a.png: is empty; copy it again\n")
    assert explain(error) == ("a.png: is empty; copy it again", 2)


def test_accelerators_run_out_of_memory_too():
    class OutOfMemoryError(RuntimeError):
        pass

    assert explain(OutOfMemoryError("CUDA out of memory. Tried"))[1] == 2


def test_commands_load():
    assert all(hasattr(entry.command_class(name), "run") for name in COMMANDS)
    assert main(["labels", "--json"]) == 0


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("roadseg.cli.terminal.PLAIN_SECONDS", 0.0)
    with Terminal().progress("reading", 4) as report:
        report.update(1, text="loss 0.5")
        report.line("stays")
        report.update(2, 5)
    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("reading 1/4, ")
    assert err[0].endswith(" left, loss 0.5")
    assert err[1] == "stays"
    assert err[2].startswith("reading 2/5, ")


def test_progress_is_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(
        "roadseg.cli.terminal._console", lambda stderr: Console(stderr=stderr, force_terminal=True, width=80)
    )
    with Terminal().progress("reading", 4) as report:
        report.update(4, text="all")
        report.line("stays")
    captured = capsys.readouterr()
    assert "4/4" in captured.err
    assert "stays" in captured.err
    assert captured.out == ""


def test_quiet_shows_no_progress_and_no_remarks(capsys, monkeypatch):
    monkeypatch.setattr("roadseg.cli.terminal.PLAIN_SECONDS", 0.0)
    terminal = Terminal(quiet=True)
    with terminal.progress("reading", 4) as report:
        report.update(1)
        report.line("x")
    terminal.note("y")
    terminal.warn("z")
    assert capsys.readouterr().err == "roadseg: error: z\n"


def test_names_of_files_need_not_be_utf8(capsys):
    name = "stra\udcdfe.jpg"
    table = Table("file")
    table.add_row(name)
    Terminal().say(name, table)
    Terminal().note(name)
    Terminal().warn(name)
    with Terminal().progress("reading", 2) as report:
        report.line(name)
    captured = capsys.readouterr()
    assert captured.out.count("stra?e.jpg") == 2
    assert captured.err.count("stra?e.jpg") == 3
    Terminal(json=True).emit({"Straße": name})
    assert json.loads(capsys.readouterr().out) == {"Straße": name}


def test_json_is_escaped_where_stdout_takes_no_other_characters(monkeypatch):
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        Terminal(json=True).emit({"name": "道路"})
        stdout.flush()
        assert json.loads(written.getvalue()) == {"name": "道路"}


@pytest.mark.parametrize(
    ("value", "text"), [(1.25, "1.2 s"), (12.4, "12 s"), (185, "3:05 min"), (7805, "2:10 h"), (-1, "0.0 s")]
)
def test_duration(value, text):
    assert duration(value) == text


def test_numbers_in_words():
    assert [percent(x) for x in (0.123, None, float("nan"))] == ["12.3", "-", "-"]
    assert [size_text(x) for x in (0, 999, 1500, 45_000, 3e6, 2.5e12)] == [
        "0 B", "999 B", "1.5 kB", "45 kB", "3.0 MB", "2500 GB",
    ]  # fmt: skip


def test_warnings_are_one_sentence(monkeypatch, capsys):
    import warnings

    from roadseg.cli import entry

    def warn(_arguments):
        warnings.simplefilter("always")
        warnings.warn("memory ended: windows are halved", RuntimeWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(entry, "_run", warn)
    assert entry.main(["predict"]) == 0
    assert capsys.readouterr().err == "roadseg: memory ended: windows are halved\n"
