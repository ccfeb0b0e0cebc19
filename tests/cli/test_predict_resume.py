"""Runs that are killed, and runs of several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

import roadseg
from roadseg.cli import main
from roadseg.inference import WeightsCard, save_package
from roadseg.inference.pipeline import stage_workers
from roadseg.labels import space
from roadseg.media import read_image, read_mask
from roadseg.recipes import Preprocess
from tests.fakes import picture, save
from tests.slow import DIARY, PAUSE, SIZE, slow

COUNT = 24
ROOT = Path(roadseg.__file__).parents[2]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    model = slow(11)
    torch.nn.init.normal_(model.head.weight, std=20)
    path = tmp_path_factory.mktemp("slow") / "slow.safetensors"
    card = WeightsCard(model="tests.slow:slow", space=space("camvid-11"), preprocess=Preprocess())
    save_package(path, model, card)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(COUNT):
        save(folder / f"{i:02}.png", picture(str(i), SIZE))
    return folder


@pytest.fixture(scope="module")
def reference(photos, weights, tmp_path_factory):
    """Results of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("reference")
    assert main([str(part) for part in arguments(photos, weights, out)]) == 0
    return results(out)


def arguments(photos, weights, out):
    options = [
        "--trust-code",
        "--device",
        "cpu",
        "--quiet",
        "--outputs",
        "labels",
        "overlay",
        "entropy",
        "shares",
    ]
    return ["predict", photos, "-o", out, "--weights", weights, *options]


def start(photos, weights, out, diary, pause, launcher=()):
    command = [sys.executable, *launcher, "-m", "roadseg", *arguments(photos, weights, out)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {DIARY: str(diary), PAUSE: str(pause), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(out):
    """Every file, hidden ones too, but for the manifest and the diary."""
    files = [path for path in out.rglob("*") if path.is_file() and path.parent != out]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def keys_in_manifest(out):
    return [json.loads(line)["key"] for line in (out / "manifest.jsonl").read_text().splitlines() if line]


def written(diary):
    return diary.read_text().split() if diary.exists() else []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
@pytest.mark.parametrize(("pictures", "delay"), [(2, 0.013), (15, 0.004)])
def test_killed_and_run_again(photos, weights, reference, tmp_path, pictures, delay):
    out, diary = tmp_path / "out", tmp_path / "diary"
    process = start(photos, weights, out, diary, pause=0.04)
    end = time.monotonic() + 60
    while len(written(diary)) < pictures and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(delay)  # somewhere between reading, the network and writing
    process.kill()
    process.communicate(timeout=60)
    first = written(diary)
    assert pictures <= len(first) < COUNT
    for path in out.rglob("[!.]*.*"):  # what is there is whole
        if path.suffix in (".png", ".jpg"):
            (read_mask if path.suffix == ".png" else read_image)(path)
            assert path.read_bytes() == reference[path.relative_to(out).as_posix()]
    finished = keys_in_manifest(out) if (out / "manifest.jsonl").exists() else []

    again = start(photos, weights, out, diary, pause=0)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert results(out) == reference
    assert keys_in_manifest(out) == [f"{i:02}" for i in range(COUNT)]
    times = Counter(written(diary))
    assert len(times) == COUNT
    assert max(times.values()) <= 2
    twice = sum(count - 1 for count in times.values())
    assert twice == len(first) - len(finished)  # exactly what was in flight
    assert twice <= stage_workers() + 2


def test_torchrun_shares_the_pictures(photos, weights, reference, tmp_path):
    folder, out, diary = tmp_path / "in", tmp_path / "out", tmp_path / "diary"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "bad.png").write_bytes(b"no picture")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = start(folder, weights, out, diary, pause=0.01, launcher=launcher)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 1  # for the bad picture, which stopped no process
    assert errors.count("bad.png: ") == 1
    assert set(Counter(written(diary)).values()) == {1}
    assert len(written(diary)) == COUNT
    found = results(out)
    assert {name for name in found if not name.startswith("shares/")} == {
        name for name in reference if not name.startswith("shares/")
    }
    assert all(found[name] == reference[name] for name in found if not name.startswith("shares/"))
    assert [path.name for path in out.glob("manifest*")] == ["manifest.jsonl"]
    assert keys_in_manifest(out) == [f"{i:02}" for i in range(COUNT)]
