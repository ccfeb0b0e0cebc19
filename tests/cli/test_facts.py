"""The commands that only tell: models, labels, doctor, data check."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roadseg.inference import file_sha256
from roadseg.labels import label_map, space, space_names
from roadseg.models import DEFAULT_WEIGHTS, names, row
from tests.cli.conftest import SIZE
from tests.fakes import fake_camvid, save, stripes


def test_models_lists_networks_and_weights(run, bundled):
    result = run("models")
    assert result.code == 0
    assert all(name in result.out for name in (*names(), DEFAULT_WEIGHTS, "5.0"))
    found = run("models", "--json").json
    assert [item["name"] for item in found["networks"]] == list(names())
    assert found["weights"][0]["space"]["name"] == "camvid-11"
    assert found["weights"][0]["bytes"] == bundled.stat().st_size


@pytest.mark.parametrize("name", names())
def test_models_shows_a_network(run, name):
    result = run("models", name)
    assert result.code == 0
    assert row(name).paper in result.out
    assert all(option in result.out for option in row(name).options)
    assert run("models", name, "--json").json["options"] == dict(row(name).options)


def test_models_shows_weights(run, bundled):
    for name in (DEFAULT_WEIGHTS, bundled):
        result = run("models", name)
        assert result.code == 0
        assert "5.00 mIoU, at random" in result.out
        assert run("models", name, "--json").json["license"] == "Apache-2.0"


def test_models_that_are_none(run, tmp_path):
    result = run("models", "fast-scn")
    assert (result.code, "did you mean fast-scnn" in result.sentence) == (2, True)
    (tmp_path / "x.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    result = run("models", tmp_path / "x.safetensors")
    assert (result.code, "does not say what it is" in result.sentence) == (2, True)


def test_labels_lists_the_spaces(run):
    result = run("labels")
    assert result.code == 0
    assert all(name in result.out for name in space_names())
    assert [item["name"] for item in run("labels", "--json").json["spaces"]] == list(space_names())


@pytest.mark.parametrize("name", space_names())
def test_labels_shows_a_space(run, name):
    result = run("labels", name)
    assert result.code == 0
    for item in space(name).classes:
        assert item.name in result.out
        assert "#{:02x}{:02x}{:02x}".format(*item.color) in result.out
    assert run("labels", name, "--json").json["fingerprint"] == space(name).fingerprint


def test_labels_shows_a_map(run):
    result = run("labels", "cityscapes-19", "--to", "camvid-11", "--json").json
    found = {item["name"]: item["target"] for item in result["table"]}
    declared = label_map("cityscapes-19", "camvid-11")
    ids = {item.id: item.name for item in space("camvid-11").classes}
    assert found == {
        space("cityscapes-19").classes[source].name: ids.get(target)
        for source, target in declared.table
        if source != 255
    }
    assert "->" in run("labels", "cityscapes", "--to", "cityscapes-19").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cityscape"], "unknown label space 'cityscape'"),
        (["--to", "camvid-11"], "--to needs a label space to start from"),
    ],
)
def test_labels_that_are_none(run, arguments, words):
    result = run("labels", *arguments)
    assert (result.code, words in result.sentence) == (2, True)


def test_doctor_is_content(run, bundled):
    result = run("doctor")
    assert result.code == 0
    assert "roadseg works here" in result.out
    found = run("doctor", "--json").json
    assert found["works"]
    about = {item["about"]: item for item in found["findings"]}
    assert {"roadseg", "python", "torch", "cpu", "threads", "disk", "license", DEFAULT_WEIGHTS} <= set(about)
    assert "no checksum recorded" in about[DEFAULT_WEIGHTS]["text"]


def test_doctor_checks_the_weights(run, bundled):
    sums = bundled.parent / "sha256sums.txt"
    try:
        sums.write_text(f"{file_sha256(bundled)}  {bundled.name}\n")
        assert "checksum right" in run("doctor").out
        sums.write_text(f"{'0' * 64}  {bundled.name}\n")
        result = run("doctor")
        assert result.code == 1
        assert "not 000000000000; install roadseg again" in result.out
    finally:
        sums.unlink()


def test_doctor_misses_the_weights(run, monkeypatch):
    monkeypatch.setattr("roadseg.models.bundled.bundled_weights", dict)
    result = run("doctor", "--json")
    assert result.code == 1
    assert [item["about"] for item in result.json["findings"] if item["state"] == "bad"] == ["weights"]


HIDDEN = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "yaml", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hide())
from roadseg.cli import main
sys.exit(main(["doctor", "--json"]))
"""


def test_doctor_examines_what_is_left_where_packages_are_missing():
    result = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, check=False)
    assert result.returncode == 1, result.stderr
    found = {item["about"]: item for item in json.loads(result.stdout)["findings"]}
    assert {"python", "av", "tensorboard", "license"} <= set(found)
    for section in ("devices", "room", "weights"):
        assert found[section]["state"] == "bad"
        assert "No module named 'torch'); install roadseg again" in found[section]["text"]


def test_doctor_goes_on_where_torch_is_damaged(run, bundled, monkeypatch):
    def fail() -> None:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr("roadseg.cli.doctor.devices", fail)
    result = run("doctor", "--json")
    assert result.code == 1
    bad = {item["about"]: item["text"] for item in result.json["findings"] if item["state"] == "bad"}
    assert bad == {
        "devices": "cannot be examined (OSError: libcudart.so.12: cannot open shared object file);"
        " install roadseg again"
    }


def test_doctor_notices_little_room(run, bundled, monkeypatch):
    monkeypatch.setattr("roadseg.cli.doctor.shared_memory", lambda: 64 << 20)
    monkeypatch.setattr("roadseg.cli.doctor.free_disk", lambda _path: 5 << 20)
    result = run("doctor", "--json")
    assert result.code == 0
    notes = {item["about"]: item["text"] for item in result.json["findings"] if item["state"] == "note"}
    assert "--workers 0" in notes["shared memory"]
    assert notes["disk"].startswith("5.2 MB free")


def test_data_check_of_a_good_set(run, camvid):
    result = run("data", "check", camvid)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "usable"
    found = run("data", "check", camvid, "--json").json
    assert found["usable"]
    assert {name: split["images"] for name, split in found["splits"].items()} == {
        "train": 8,
        "val": 2,
        "test": 2,
    }


@pytest.mark.parametrize("workers", [-1, 0])
def test_data_check_needs_no_sensible_number_of_workers(run, camvid, workers):
    assert run("data", "check", camvid, "--workers", workers).code == 0


def test_data_check_of_a_bad_set(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    labels = sorted((root / "trainannot").iterdir())
    save(labels[0], stripes([0, 99], SIZE))
    labels[1].write_bytes(b"")
    labels[2].unlink()
    save(labels[3], stripes([0, 1], (10, 10)))
    result = run("data", "check", root, "--splits", "train")
    assert result.code == 1
    for words in ("99", "is empty (0 bytes)", "has no label file", "10x10", "not usable: 4 things"):
        assert words in result.out
    assert len(run("data", "check", root, "--splits", "train", "--json").json["findings"]) == 4


def test_data_check_of_nothing(run):
    result = run("data", "check", "nowhere")
    assert (result.code, result.out) == (2, "")
    assert Path("nowhere").name in result.sentence
