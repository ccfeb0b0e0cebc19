from pathlib import Path

import numpy as np
import pytest

from roadseg.data import open_source
from roadseg.data.synth import (
    Frame,
    Style,
    build_scene,
    read_flow,
    render,
    render_sequence,
    write_dataset,
)
from roadseg.data.synth.dataset import SPLITS, _deal
from roadseg.data.synth.raster import Layer
from roadseg.data.synth.view import identify, observe
from roadseg.errors import DataError, OutputError, RoadsegError
from roadseg.labels import label_map, space
from roadseg.media import read_image, read_mask

SMALL = (64, 96)
IDS = {item.name: item.id for item in space("cityscapes").classes}


def labels_of(seed: int, size: tuple[int, int] = SMALL) -> np.ndarray:
    scene = build_scene(seed)
    return identify(scene, observe(scene, 0.0, size))[0]


def test_same_seed_same_bytes() -> None:
    first, second = (render(build_scene(3), 0.4, SMALL, step=0.1) for _ in range(2))
    for name in vars(first):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name


def test_other_seeds_differ() -> None:
    assert not np.array_equal(
        render(build_scene(3), 0.0, SMALL).image, render(build_scene(4), 0.0, SMALL).image
    )


@pytest.mark.parametrize("size", [(64, 96), (61, 97), (40, 40), (64, 256)])
def test_frame_contract(size: tuple[int, int]) -> None:
    frame = render(build_scene(11), 0.0, size)
    assert frame.image.shape == (*size, 3)
    assert frame.image.dtype == np.uint8
    assert frame.labels.shape == size
    assert frame.labels.dtype == np.uint8
    assert frame.instances.shape == size
    assert frame.instances.dtype == np.uint16
    assert frame.flow.shape == (*size, 2)
    assert frame.flow.dtype == np.float32
    assert frame.flow_valid.dtype == np.bool_
    assert not frame.flow_valid.any()  # no next frame was asked for
    assert (frame.depth > 0).all()
    assert frame.image.std() > 5


@pytest.mark.parametrize("seed", range(20, 26))
def test_labels_and_instances_agree(seed: int) -> None:
    frame = render(build_scene(seed), 0.0, SMALL)
    classes = {item.id: item for item in space("cityscapes").classes}
    assert set(np.unique(frame.labels).tolist()) <= set(classes)
    counted = frame.instances >= 1000
    assert np.array_equal(np.where(counted, frame.instances // 1000, frame.instances), frame.labels)
    for label in np.unique(frame.labels).tolist():
        assert counted[frame.labels == label].all() == classes[label].has_instances, classes[label].name


def test_every_evaluated_class_appears() -> None:
    seen: set[int] = set()
    shares = np.zeros(256)
    for seed in range(60):
        labels = labels_of(seed, (48, 64))
        seen |= set(np.unique(labels).tolist())
        shares += np.bincount(labels.ravel(), minlength=256)
    relabel = dict(label_map("cityscapes", "cityscapes-19").table)
    evaluated = {item.name for item in space("cityscapes").classes if relabel[item.id] != 255}
    missing = evaluated - {item.name for item in space("cityscapes").classes if item.id in seen} - {"train"}
    assert not missing
    shares /= shares.sum()
    # Like a street: about what CamVid and Cityscapes have.
    for name, low, high in (
        ("road", 0.2, 0.45),
        ("building", 0.1, 0.35),
        ("sky", 0.05, 0.25),
        ("person", 0.002, 0.03),
    ):
        assert low < shares[IDS[name]] < high, (name, shares[IDS[name]])


def follow(frame: Frame, picture: np.ndarray) -> np.ndarray:
    """The next frame's ``picture`` where the flow leads to, at the valid pixels."""
    y, x = np.nonzero(frame.flow_valid)
    u, v = frame.flow[y, x].T
    return picture[np.round(y + v).astype(int), np.round(x + u).astype(int)]


@pytest.mark.parametrize("seed", [5, 17, 42, 77])
def test_flow_leads_to_the_same_object(seed: int) -> None:
    # The next frame is rendered on its own; nothing of it went into the flow but the positions of things.
    scene = build_scene(seed, Style(ego_hood=False))
    size = (96, 144)
    frame = render(scene, 0.3, size, step=0.06)
    later = render(scene, 0.36, size)
    assert frame.flow_valid.mean() > 0.55
    valid = frame.flow_valid
    assert (follow(frame, later.instances) == frame.instances[valid]).mean() > 0.99
    assert (follow(frame, later.labels) == frame.labels[valid]).mean() > 0.99


def test_flow_is_right_without_occlusion_tests() -> None:
    """Also pixels that the validity mask leaves out must point to their own class, apart from hidden ones."""
    scene = build_scene(42, Style(ego_hood=False))
    size = (96, 144)
    frame = render(scene, 0.0, size, step=0.05)
    later = render(scene, 0.05, size)
    y, x = np.mgrid[: size[0], : size[1]]
    column, row = np.round(x + frame.flow[..., 0]).astype(int), np.round(y + frame.flow[..., 1]).astype(int)
    inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    agree = later.labels[row[inside], column[inside]] == frame.labels[inside]
    assert agree.mean() > 0.93


def test_flow_of_a_known_motion() -> None:
    """On the road of a straight street the flow is that of a plane seen by a camera that drives ahead."""
    for seed in range(60):
        scene = build_scene(seed, Style(ego_hood=False))
        if scene.street.bend == 0 and scene.speed > 5:
            break
    size = (96, 144)
    frame = render(scene, 0.0, size, step=0.1)
    before, after = scene.camera(0.0, size), scene.camera(0.1, size)
    road = frame.labels == IDS["road"]
    y, x = np.nonzero(road)
    basis = before.ray_basis().astype(np.float64)
    rays = basis[0] + x[:, None] * basis[1] + y[:, None] * basis[2]
    points = before.position + rays * (-before.position[1] / rays[:, 1])[:, None]
    expected = np.stack(after.to_pixels((points - after.position) @ after.axes), axis=1) - np.stack(
        [x, y], axis=1
    )
    near = np.abs(expected).max(axis=1) < 200
    assert near.sum() > 500
    assert np.abs(expected - frame.flow[y, x])[near].max() < 0.05


def test_still_camera_without_traffic_has_no_flow() -> None:
    for seed in range(200):
        scene = build_scene(seed, Style(traffic=0.0, people=0.0, ego_hood=False))
        if scene.speed == 0:
            break
    frame = render(scene, 0.0, SMALL, step=0.1)
    moving = frame.instances >= 1000
    assert np.abs(frame.flow[~moving]).max() < 0.01


def test_sequence_is_the_single_pictures() -> None:
    scene = build_scene(8)
    frames = list(render_sequence(scene, 3, 0.1, SMALL))
    assert len(frames) == 3
    single = render(scene, 0.1, SMALL, step=0.1)
    assert np.array_equal(frames[1].image, single.image)
    assert np.array_equal(frames[1].flow, single.flow)
    assert not frames[2].flow_valid.any()
    assert not np.array_equal(frames[0].image, frames[1].image)


def test_style_is_heard() -> None:
    hood = render(build_scene(2, Style(ego_hood=True)), 0.0, SMALL).labels
    assert (hood[-1] == IDS["ego vehicle"]).all()
    night = render(build_scene(2, Style(sky="night")), 0.0, SMALL).image.mean()
    day = render(build_scene(2, Style(sky="clear")), 0.0, SMALL).image.mean()
    assert night < day
    fog = build_scene(2, Style(sky="fog"))
    assert fog.light.fog > 4 * build_scene(2, Style(sky="clear")).light.fog
    assert fog.style.setting == build_scene(2, Style(sky="clear")).style.setting


def test_nearer_things_hide_farther_ones() -> None:
    scene = build_scene(9)
    view = observe(scene, 0.0, SMALL)
    layer: Layer = view.labeled()
    assert (layer.part >= 0).all()
    assert (view.veils.inverse[view.veils.part >= 0] > view.solid.inverse[view.veils.part >= 0]).all()


@pytest.mark.parametrize("layout", ["cityscapes", "camvid", "yaml"])
def test_layouts_open(tmp_path: Path, layout: str) -> None:
    calls: list[tuple[int, int]] = []
    written = write_dataset(
        tmp_path / "out",
        layout,
        images=4,
        size=SMALL,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 4) for done in range(5)]
    assert (written.rendered, written.kept) == (4, 0)
    source = open_source(tmp_path / "out")
    assert source.name == layout
    assert set(source.splits) >= {"train", "val", "test"}
    for split in ("train", "val"):
        records = source.find(split)
        assert len(records) == written.splits[split]
        for record in records:
            mask = source.read_label(record)
            assert mask.shape == SMALL
            assert read_image(record.image).shape == (*SMALL, 3)
            assert set(np.unique(mask).tolist()) <= {*source.target.ids, source.target.ignore}
            assert IDS["road"] in np.unique(read_mask(record.label)) if layout == "cityscapes" else True
    assert (tmp_path / "out" / "README.md").is_file()


def test_cityscapes_instances(tmp_path: Path) -> None:
    write_dataset(tmp_path / "out", "cityscapes", images=1, size=SMALL, splits={"train": 1.0})
    (label,) = (tmp_path / "out").rglob("*_gtFine_labelIds.png")
    instances = read_mask(label.with_name(label.name.replace("labelIds", "instanceIds")))
    labels = read_mask(label)
    assert instances.dtype == np.uint16
    assert np.array_equal(np.where(instances >= 1000, instances // 1000, instances), labels)
    assert label.with_name(label.name.replace("labelIds", "color")).is_file()


@pytest.mark.parametrize("layout", ["cityscapes", "camvid"])
def test_sequences_on_disk(tmp_path: Path, layout: str) -> None:
    out = tmp_path / "out"
    written = write_dataset(
        out, layout, images=0, sequences=1, frames_per_sequence=3, size=SMALL, splits={"train": 1.0}
    )
    assert written.rendered == 1
    flows = sorted(out.rglob("*.npz"))
    assert len(flows) == 2
    flow, valid = read_flow(flows[0])
    assert flow.shape == (*SMALL, 2)
    assert valid.shape == SMALL
    assert valid.mean() > 0.4
    images = (
        "leftImg8bit_sequence/train/trainsynth"
        if layout == "cityscapes"
        else "sequences/train/synth_500000/images"
    )
    assert len(list((out / images).glob("*.png"))) == 3
    if layout == "cityscapes":
        assert len(open_source(out).find("train")) == 1  # the key frame


def test_damaged_flow(tmp_path: Path) -> None:
    path = tmp_path / "flow.npz"
    np.savez_compressed(path, flow=np.arange(2000.0), valid=np.ones(1))
    data = bytearray(path.read_bytes())
    data[60:1060] = b"\xff" * 1000
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"flow\.npz: cannot be read as a file of flow; render"):
        read_flow(path)


def test_interrupted_and_grown(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_dataset(out, "camvid", images=3, size=SMALL)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("synth_*.png")}
    assert len(files) == 6
    lost = out / "train" / "synth_000000.png"
    before = lost.read_bytes()
    lost.unlink()
    again = write_dataset(out, "camvid", images=5, size=SMALL)
    assert (again.rendered, again.kept) == (3, 2)
    assert lost.read_bytes() == before
    kept = [path for path in files if "synth_000000" not in path.name]
    assert all(path.stat().st_mtime_ns == files[path] for path in kept)
    assert len((out / "train.txt").read_text().splitlines()) == len(list((out / "train").iterdir()))


def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    write_dataset(tmp_path / "one", "camvid", images=2, size=(32, 48))
    write_dataset(tmp_path / "two", "camvid", images=2, size=(32, 48), workers=2)
    for path in (tmp_path / "one").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_splits_are_dealt_steadily() -> None:
    long = _deal(200, SPLITS)
    assert long[:3] == ["train", "val", "test"]
    assert _deal(40, SPLITS) == long[:40]
    assert [long.count(name) for name in SPLITS] == [140, 30, 30]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "kitti"}, "no layout 'kitti'"),
        ({"images": 0}, "nothing to render"),
        ({"images": -1}, "nothing to render"),
        ({"sequences": 1, "frames_per_sequence": 1}, "does not move"),
        ({"size": (8, 8)}, "too few"),
        ({"splits": {}}, "no shares"),
        ({"splits": {"train": -1.0}}, "no shares"),
        ({"seed": -1}, "-1 is no seed; give 0 or more"),
    ],
)
def test_senseless_arguments(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(RoadsegError, match=message):
        write_dataset(tmp_path / "out", **{"images": 1, **options})
    assert not (tmp_path / "out").exists()


def test_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        write_dataset(tmp_path, images=1, size=SMALL)


def test_folder_of_another_seed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_dataset(out, images=1, size=SMALL, seed=1)
    with pytest.raises(OutputError, match="another seed"):
        write_dataset(out, images=1, size=SMALL, seed=2)
    (out / "synth.json").write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        write_dataset(out, images=1, size=SMALL, seed=1)


def test_out_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError):
        write_dataset(tmp_path / "out", images=1, size=SMALL)
