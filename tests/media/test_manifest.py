import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from roadseg.errors import OutputError
from roadseg.media.manifest import Identity, Manifest, fingerprint, remove_leftovers, tidy

SETTINGS = fingerprint({"weights": "a"})


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "street é.jpg"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out" / "labels").mkdir(parents=True)
    return tmp_path / "out"


def finish(manifest, picture, key="street", content=b"labels"):
    file = manifest.folder / "labels" / f"{key}.png"
    file.write_bytes(content)
    return manifest.finish(key, [Identity.of(picture)], {"labels": file}, {"width": 3})


def is_finished(out, picture, key="street", settings=SETTINGS):
    with Manifest(out, settings) as manifest:
        return manifest.finished(key, [picture]) is not None


def test_what_is_finished_is_known_to_the_next_run(out, picture):
    with Manifest(out, SETTINGS) as manifest:
        assert manifest.finished("street", [picture]) is None
        entry = finish(manifest, picture)
        assert manifest.finished("street", [picture]) == entry
    with Manifest(out, SETTINGS) as manifest:
        assert manifest.finished("street", [picture]) == entry
        assert manifest.entries == [entry]
    assert dict(entry.files) == {"labels": "labels/street.png"}
    line = json.loads((out / "manifest.jsonl").read_text().splitlines()[0])
    assert line["inputs"] == [{"path": str(picture), "size": 6, "mtime_ns": picture.stat().st_mtime_ns}]
    assert line["files"] == {"labels": {"path": "labels/street.png", "size": 6}}


def test_another_setting_another_input_and_another_result_are_not_finished(out, picture):
    with Manifest(out, SETTINGS) as manifest:
        finish(manifest, picture)
    assert is_finished(out, picture)
    assert not is_finished(out, picture, settings=fingerprint({"weights": "b"}))
    assert not is_finished(out, picture.with_name("none.jpg"))
    (out / "labels" / "street.png").write_bytes(b"lab")
    assert not is_finished(out, picture)
    (out / "labels" / "street.png").write_bytes(b"labels")
    os.utime(picture, ns=(0, 0))
    assert not is_finished(out, picture)


def test_results_that_are_being_replaced_are_not_finished(out, picture):
    with Manifest(out, SETTINGS) as manifest:
        finish(manifest, picture)
        finish(manifest, picture, "other")
        manifest.begin("street")  # and then the power fails
    assert not is_finished(out, picture)
    assert is_finished(out, picture, "other")


def test_a_line_that_was_cut_short_costs_only_itself(out, picture):
    with Manifest(out, SETTINGS) as manifest:
        finish(manifest, picture, "a")
        finish(manifest, picture, "b")
    path = out / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with Manifest(out, SETTINGS) as manifest:
        assert [entry.key for entry in manifest.entries] == ["a"]
        finish(manifest, picture, "c")
    path.write_bytes(path.read_bytes() + b'{"key": 1}\n[]\n\xff\xfe\nnull\n{"key": "d", "inputs": 3}\n')
    with Manifest(out, SETTINGS) as manifest:
        assert [entry.key for entry in manifest.entries] == ["a", "c"]


def test_parts_of_several_processes_are_read_together_and_joined(out, picture):
    for rank in range(3):
        with Manifest(out, SETTINGS, rank=rank, size=3) as manifest:
            finish(manifest, picture, f"k{rank}")
    assert len(list(out.glob("manifest*.jsonl"))) == 3
    with Manifest(out, SETTINGS) as manifest:
        assert [entry.key for entry in manifest.entries] == ["k0", "k1", "k2"]
    tidy(out)
    assert [path.name for path in out.glob("manifest*.jsonl")] == ["manifest.jsonl"]
    assert [json.loads(line)["key"] for line in (out / "manifest.jsonl").read_text().splitlines()] == [
        "k0",
        "k1",
        "k2",
    ]


def test_the_latest_word_counts_whichever_part_it_is_in(out, picture):
    with Manifest(out, SETTINGS) as manifest:
        finish(manifest, picture)
    with Manifest(out, fingerprint({"weights": "b"}), rank=0, size=2) as manifest:
        manifest.begin("street")
        finish(manifest, picture)
    assert not is_finished(out, picture)
    assert is_finished(out, picture, settings=fingerprint({"weights": "b"}))
    tidy(out)
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 1


def test_two_runs_at_a_time_do_not_lose_each_others_lines(out, picture):
    with Manifest(out, SETTINGS) as first, Manifest(out, SETTINGS) as second:
        assert first.path != second.path
        finish(first, picture, "a")
        finish(second, picture, "b")
        tidy(out)  # not while both write
        finish(first, picture, "c")
    tidy(out)
    with Manifest(out, SETTINGS) as manifest:
        assert [entry.key for entry in manifest.entries] == ["a", "b", "c"]


def test_threads_may_finish_at_the_same_time(out, picture):
    with Manifest(out, SETTINGS) as manifest, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: finish(manifest, picture, f"{i:03}"), range(100)))
    with Manifest(out, SETTINGS) as manifest:
        assert [entry.key for entry in manifest.entries] == [f"{i:03}" for i in range(100)]


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(out):
    kept = [out / "labels" / name for name in ("a.png", ".hidden.png", ".0123.png")]
    left = [out / "labels" / ".0123456789abcdef.png", out / "labels" / "sub" / ".fedcba9876543210.png"]
    for path in (*kept, *left):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    with Manifest(out, SETTINGS):
        remove_leftovers(out, ["labels", "color"])  # somebody may be writing them
        assert all(path.exists() for path in (*kept, *left))
    remove_leftovers(out, ["labels", "color"])
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in left)


def test_names_of_any_bytes(out, tmp_path):
    strange = tmp_path / os.fsdecode(b"stra\xdfe.jpg")
    strange.write_bytes(b"x")
    with Manifest(out, SETTINGS) as manifest:
        finish(manifest, strange, "strange")
    assert is_finished(out, strange, "strange")


def test_an_unused_manifest_leaves_nothing(out):
    with Manifest(out, SETTINGS):
        pass
    assert not list(out.glob("manifest*"))


def test_a_manifest_that_cannot_be_written(tmp_path):
    (tmp_path / "manifest.jsonl").mkdir()
    with pytest.raises(OutputError, match="cannot be"):
        Manifest(tmp_path, SETTINGS)


def test_fingerprints_depend_on_values_not_on_order():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
