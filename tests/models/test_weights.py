import contextlib
import io
import os
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from roadseg.errors import WeightsError
from roadseg.models import catalog
from roadseg.models.weights import CheckpointFile, build_for, load_weights, read_state


def _network() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 1), bn=nn.BatchNorm2d(4)))


@pytest.fixture
def network() -> nn.Module:
    return _network()


def _same(state: dict[str, torch.Tensor], model: nn.Module) -> bool:
    want = model.state_dict()
    return state.keys() == want.keys() and all(torch.equal(state[key], want[key]) for key in want)


def _save_zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def _save_legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


SAVERS = [_save_zip, _save_legacy]


# Reading


@pytest.mark.parametrize("save", [_save_zip, _save_legacy, save_file])
def test_every_container_gives_the_same(
    save: Callable[..., None], network: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"  # the content decides, not the name
    save(network.state_dict(), path)
    file = read_state(path)
    assert _same(file.state, network)
    assert file.path == path


def test_header_of_safetensors_is_kept(network: nn.Module, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "w.safetensors", metadata={"model": "espnet"})
    assert read_state(tmp_path / "w.safetensors").metadata == {"model": "espnet"}


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}, "epoch": 3},
        lambda state: {"net": state},
        lambda state: {"model_state": state},
        lambda state: {"ema": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.module.{key}": value for key, value in state.items()}},
    ],
)
def test_wrappers_and_prefixes_come_off(
    save: Callable[..., None], wrap: Callable[..., Any], network: nn.Module, tmp_path: Path
) -> None:
    save(wrap(network.state_dict()), tmp_path / "w.pth")
    assert _same(read_state(tmp_path / "w.pth").state, network)


def test_scalars_beside_the_weights_are_kept(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict(), "epoch": 3, "arch": "x", "log": [1]}, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth").metadata == {"epoch": "3", "arch": "x"}


def test_averaged_model(network: nn.Module, tmp_path: Path) -> None:
    torch.save(AveragedModel(network).state_dict(), tmp_path / "w.pth")
    assert _same(read_state(tmp_path / "w.pth").state, network)


class _Malicious:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize(
    "wrap", [lambda bad: bad, lambda bad: {"state_dict": {"a": torch.zeros(1)}, "extra": bad}]
)
def test_malicious_pickle_is_refused_and_not_run(
    save: Callable[..., None], wrap: Callable[..., Any], tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    save(wrap(_Malicious(proof)), tmp_path / "w.pth")
    with pytest.raises(
        WeightsError, match=r"w\.pth: asks for a Python object \(\w+\.system\).*nothing .* executed"
    ):
        read_state(tmp_path / "w.pth")
    assert not proof.exists()


def test_malicious_pickle_would_have_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    torch.save(_Malicious(proof), tmp_path / "w.pth")
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert proof.exists()


@pytest.mark.parametrize("save", [_save_zip, _save_legacy, save_file])
@pytest.mark.parametrize("kept", [1, 9, 30, 200, 0.5, 0.99])
def test_truncated_file(save: Callable[..., None], kept: float, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    save(network.state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(WeightsError, match="nothing in it was executed"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello world, no weights here", "neither safetensors nor written by torch.save"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"\x80\x02}q\x00.", "nothing in it was executed"),
    ],
)
def test_what_is_no_checkpoint(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "w.pth")


def test_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        read_state(tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        read_state(tmp_path / "none.pth")


def test_zip_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="not a weight file"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds a Tensor"),
        ([torch.zeros(3)], "holds a list"),
        ({}, "holds no tensors"),
        ({"a": torch.zeros(1), "lr": 0.1}, r"holds other things than tensors \(lr\)"),
        ({"state_dict": {}}, "holds no tensors"),
    ],
)
def test_content_that_is_no_state(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "w.pth")


def test_objects_that_are_harmless_but_no_tensors(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "best": np.float64(0.7)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="asks for a Python object"):
        read_state(tmp_path / "w.pth")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x10" + b"\0" * 7 + b"{"]),
    tail=st.binary(max_size=200),
)
def test_no_bytes_escape_as_another_error(head: bytes, tail: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(head + tail)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "w.pth")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1200), value=st.integers(0, 255))
def test_a_flipped_byte_is_read_or_reported(place: int, value: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(8)}, buffer, _use_new_zipfile_serialization=False)
    content = bytearray(buffer.getvalue())
    content[place % len(content)] = value
    (tmp_path / "w.pth").write_bytes(content)
    with contextlib.suppress(WeightsError):  # and no other error
        assert read_state(tmp_path / "w.pth").state


# Loading


def _random(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        key: torch.rand_like(value) if value.is_floating_point() else value.clone()
        for key, value in model.state_dict().items()
    }


def test_loads_everything(network: nn.Module) -> None:
    state = _random(network)
    report = load_weights(network, state)
    assert _same(state, network)
    assert (report.loaded, report.filled, report.flushed) == (7, 0, 0)
    assert report.missing == report.unexpected == report.mismatched == ()


def test_batch_counters_may_lack(network: nn.Module) -> None:
    network.bn.num_batches_tracked += 5
    state = _random(network)
    del state["bn.num_batches_tracked"]
    report = load_weights(network, state)
    assert (report.loaded, report.filled) == (6, 1)
    assert network.bn.num_batches_tracked == 0


def test_every_misfit_is_counted_and_named(network: nn.Module) -> None:
    state = _random(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    del state["bn.weight"], state["bn.running_mean"]
    state |= {f"head.{index}": torch.zeros(1) for index in range(5)}
    state["conv.weight"] = torch.zeros(4, 3, 3, 3)
    with pytest.raises(WeightsError) as caught:
        load_weights(network, state)
    text = str(caught.value)
    assert "2 missing (bn.weight, bn.running_mean)" in text
    assert "5 unexpected (head.0, head.1, head.2, ...)" in text
    assert "1 of another shape or kind (conv.weight 4x3x3x3 instead of 4x3x1x1)" in text
    assert _same(before, network)


def test_what_fits_is_loaded_when_not_strict(network: nn.Module) -> None:
    state = _random(network)
    del state["bn.weight"]
    state["conv.weight"] = torch.zeros(4, 3, 3, 3)
    state["more"] = torch.zeros(1)
    report = load_weights(network, state, strict=False)
    assert (report.missing, report.unexpected, report.mismatched) == (
        ("bn.weight",),
        ("more",),
        ("conv.weight",),
    )
    assert torch.equal(network.conv.bias, state["conv.bias"])


def test_nothing_that_fits_is_an_error_even_when_not_strict(network: nn.Module) -> None:
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(network, {"a": torch.zeros(1)}, strict=False)


def test_hint_says_whose_weights_they_are(tmp_path: Path) -> None:
    torch.save(catalog.build("espnet", 20, alpha3=1, skip="features").state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_weights(catalog.build("espnet", 20, alpha3=1), tmp_path / "w.pth")
    text = str(caught.value)
    assert "w.pth: does not fit ESPNet" in text
    assert "conv.conv.weight 20x36x3x3 instead of 20x39x3x3" in text
    assert text.endswith("this looks like espnet (alpha2=2, alpha3=1, skip=features), 20 classes")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precision_is_converted(dtype: torch.dtype, network: nn.Module, tmp_path: Path) -> None:
    state = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in _random(network).items()
    }
    save_file(state, tmp_path / "w.safetensors")
    load_weights(network, tmp_path / "w.safetensors")
    assert network.conv.weight.dtype is torch.float32
    assert torch.equal(network.conv.weight, state["conv.weight"].float())


def test_denormals_become_zero_and_are_counted(network: nn.Module) -> None:
    state = _random(network)
    state["conv.weight"].flatten()[:3] = torch.tensor([1e-40, -1e-42, 0.0])
    state["conv.weight"].flatten()[3] = torch.finfo(torch.float32).tiny
    given = state["conv.weight"].clone()
    report = load_weights(network, state)
    assert report.flushed == 2
    assert network.conv.weight.flatten()[:3].tolist() == [0.0, 0.0, 0.0]
    assert network.conv.weight.flatten()[3] == torch.finfo(torch.float32).tiny
    assert torch.equal(state["conv.weight"], given)


def test_float16_keeps_its_denormals(network: nn.Module) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in _random(network).items()
    }
    state["conv.bias"][0] = 1e-6
    report = load_weights(network.half(), state)
    assert report.flushed == 0
    assert network.conv.bias[0] > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused(bad: float, network: nn.Module) -> None:
    state = _random(network)
    state["conv.weight"][0, 0] = bad
    with pytest.raises(WeightsError, match=r"not numbers in 1 tensors \(conv.weight\)"):
        load_weights(network, state)
    load_weights(network, state, strict=False)


@pytest.mark.parametrize(
    "odd",
    [
        torch.zeros(4, dtype=torch.int64),
        torch.zeros(4).to_sparse(),
        torch.zeros(1).expand(10**15),
        torch.zeros(4, dtype=torch.complex64),
    ],
)
def test_tensors_of_another_kind_do_not_fit(odd: torch.Tensor, network: nn.Module) -> None:
    state = _random(network)
    state["conv.bias"] = odd
    with pytest.raises(WeightsError, match=r"1 of another shape or kind \(conv.bias"):
        load_weights(network, state)


def test_build_for_names_what_is_nearest() -> None:
    with pytest.raises(WeightsError, match=r"recognizes \(1 tensors, first a\); name the network with"):
        build_for({"a": torch.zeros(1)})
    almost = {"classifier.weight": torch.zeros(1), "conv.conv.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"nearest are sacmehta/espnet \(ESPNet by its authors"):
        build_for(almost)


def test_what_is_read_is_what_is_loaded() -> None:
    source = catalog.build("fast-scnn", 3, aux=("stem",))
    file = CheckpointFile(source.state_dict())
    model = build_for(file)
    load_weights(model, file)
    assert _same(source.state_dict(), model)


@pytest.mark.parametrize(
    ("name", "described", "flushed"),
    [
        ("espnet_p_2_q_3", (2, 3, "features", 20), 5865),
        ("espnet_p_2_q_8", (2, 8, "features", 20), 18302),
        ("espnet_p_2_q_8_camvid", (2, 8, "concat", 12), 10610),
        ("espnet_c_encoder_p_2_q_8", (2, 8, None, 20), 20475),
    ],
)
def test_published_files(shared: Path, name: str, described: tuple[Any, ...], flushed: int) -> None:
    file = read_state(shared / "data" / "weights" / "espnet" / f"{name}.pth")
    model = build_for(file)
    encoder = getattr(model, "encoder", model)
    assert (
        len(encoder.level2),
        len(encoder.level3),
        getattr(model, "skip", None),
        model.num_classes,
    ) == described
    report = load_weights(model, file)
    assert report.loaded == len(file.state)
    assert report.flushed == flushed
