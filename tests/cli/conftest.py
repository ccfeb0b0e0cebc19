"""What the tests of the command line share: weights that know nothing, a photo, a data set, and a way to call it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from roadseg.cli import main
from roadseg.inference import WeightsCard, save_package
from roadseg.labels import space
from roadseg.models import DEFAULT_WEIGHTS, build
from roadseg.recipes import Preprocess
from tests.fakes import fake_camvid, picture, save

SIZE = (48, 64)


@dataclass(frozen=True)
class Result:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as JSON; fails when anything else is on it."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one line on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line; arguments become text."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Fast-SCNN with random weights for CamVid's classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / f"{DEFAULT_WEIGHTS}.safetensors"
    model = build("fast-scnn", space("camvid-11").num_classes)
    card = WeightsCard(
        model="fast-scnn",
        space=space("camvid-11"),
        preprocess=Preprocess(),
        license="Apache-2.0",
        scores=({"miou": 0.05, "protocol": {"dataset": "camvid", "text": "at random"}},),
        provenance={"note": "random"},
    )
    save_package(path, model, card)
    return path


@pytest.fixture
def bundled(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The random weights in place of those that ship with roadseg."""
    found = {DEFAULT_WEIGHTS: weights}
    for place in ("roadseg.models.bundled", "roadseg.models", "roadseg.inference.package"):
        monkeypatch.setattr(f"{place}.bundled_weights", lambda: dict(found))
    return weights


@pytest.fixture(scope="session")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in CamVid's layout: 8 train, 2 val, 2 test."""
    return fake_camvid(tmp_path_factory.mktemp("camvid"), size=SIZE)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of blocks."""
    return save(tmp_path / "street.jpg", picture("street", SIZE))


@pytest.fixture(autouse=True)
def _no_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine would say how far it is between what the tests expect on stderr."""
    monkeypatch.setattr("roadseg.cli.terminal.PLAIN_SECONDS", float("inf"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write to the working folder by default: let it be a temporary one."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
