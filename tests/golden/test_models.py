"""Our networks against the outputs of the published implementations, filled with the same weights."""

import json
import shutil
from pathlib import Path

import pytest

from tests.golden.check import DEFAULT, check, golden_files, main

FILES = golden_files(DEFAULT)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_agrees_with_reference(path: Path) -> None:
    result = check(path)
    assert result.mapped
    assert result.passed, str(result)


def test_all_goldens_are_compared(shared: Path) -> None:
    assert len(FILES) == 49


@pytest.fixture
def one_golden(shared: Path, tmp_path: Path) -> Path:
    for suffix in (".json", ".npz"):
        shutil.copyfile(
            shared / "golden" / "models" / f"espnet_c_p2_q3{suffix}", tmp_path / f"renamed{suffix}"
        )
    return tmp_path


def _rewrite(folder: Path, **changes: object) -> None:
    path = folder / "renamed.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_renamed_file_is_recognised_by_its_layout(
    one_golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(one_golden)]) == 0
    out = capsys.readouterr().out
    assert "renamed" in out
    assert "ok" in out
    assert "1 of 1 agree" in out


@pytest.mark.parametrize("changes", [{"gain": 1.21}, {"suffix": "x"}])
def test_other_weights_are_told_apart(one_golden: Path, changes: dict[str, object]) -> None:
    _rewrite(one_golden, **changes)
    assert not check(one_golden / "renamed.json").passed
    assert main([str(one_golden)]) == 1


def test_foreign_layouts_are_counted_not_compared(
    one_golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _rewrite(one_golden, layout=[["backbone.conv.weight", [8, 3, 3, 3], "float32"]])
    assert main([str(one_golden)]) == 2
    assert "1 of networks that are not ours" in capsys.readouterr().out


def test_missing_arrays_fail(one_golden: Path) -> None:
    (one_golden / "renamed.npz").unlink()
    result = check(one_golden / "renamed.json")
    assert result.mapped
    assert not result.passed
