"""Runs that start from a checkpoint."""

import dataclasses

import pytest
import torch

from roadseg.inference import WeightsCard, save_package
from roadseg.labels import space
from roadseg.models import build
from roadseg.recipes import Model, Preprocess
from roadseg.training.start import channels_for, start_from

NET = Model(name="fast-scnn", options={"aux": ("stem",)})


def _saved(path, name, **options):
    torch.manual_seed(1)
    model = build("fast-scnn", space(name).num_classes, **options)
    save_package(
        path,
        model,
        WeightsCard(model="fast-scnn", options=options, space=space(name), preprocess=Preprocess()),
    )
    return model


def test_channels_follow_names_then_label_maps():
    channels = channels_for(space("cityscapes-19"), space("camvid-11"))
    city, camvid = space("cityscapes-19"), space("camvid-11")
    assert len(channels) == 11
    assert channels[camvid.index("building")] == city.index("building")
    assert channels[camvid.index("pavement")] == city.index("sidewalk")
    assert channels[camvid.index("bicyclist")] in {
        city.index(name) for name in ("bicycle", "motorcycle", "rider")
    }
    assert channels_for(city, city) == tuple(range(19))


def test_channels_of_spaces_with_nothing_in_common():
    from roadseg.labels import LabelSpace

    assert channels_for(space("camvid-11"), LabelSpace.from_names(["x", "y"])) == (None, None)


def test_same_classes_are_loaded_whole(tmp_path):
    old = _saved(tmp_path / "w.safetensors", "camvid-11", aux=("stem",))
    model = build("fast-scnn", 11, aux=("stem",))
    spec = dataclasses.replace(NET, weights=str(tmp_path / "w.safetensors"))
    text = start_from(model, spec, space("camvid-11"))
    assert text.startswith("starts from w.safetensors: ")
    assert text.endswith("tensors copied")
    assert all(torch.equal(value, old.state_dict()[key]) for key, value in model.state_dict().items())


def test_heads_that_the_file_lacks_stay_fresh(tmp_path):
    old = _saved(tmp_path / "w.safetensors", "camvid-11")
    model = build("fast-scnn", 11, aux=("stem",))
    fresh = model.auxlayer[0].weight.clone()
    text = start_from(
        model, dataclasses.replace(NET, weights=str(tmp_path / "w.safetensors")), space("camvid-11")
    )
    assert "initialized" in text
    assert torch.equal(model.auxlayer[0].weight, fresh)
    assert torch.equal(model.classifier.conv[1].weight, old.classifier.conv[1].weight)


def test_other_classes_take_over_what_they_share(tmp_path):
    old = _saved(tmp_path / "w.safetensors", "cityscapes-19", aux=("stem",))
    model = build("fast-scnn", 11, aux=("stem",))
    text = start_from(
        model, dataclasses.replace(NET, weights=str(tmp_path / "w.safetensors")), space("camvid-11")
    )
    assert "4 by class (11 of 11 classes)" in text
    sky, city_sky = space("camvid-11").index("sky"), space("cityscapes-19").index("sky")
    assert torch.equal(model.classifier.conv[1].weight[sky], old.classifier.conv[1].weight[city_sky])
    assert torch.equal(model.auxlayer[4].bias[sky], old.auxlayer[4].bias[city_sky])


def test_raw_checkpoint_of_a_known_layout(tmp_path):
    old = build("espnet", 20, alpha3=1)
    torch.save(old.state_dict(), tmp_path / "old.pth")
    model = build("espnet", 11, alpha3=1)
    spec = Model(name="espnet", options={"alpha3": 1}, weights=str(tmp_path / "old.pth"))
    assert "(11 of 11 classes)" in start_from(model, spec, space("camvid-11"))


def test_a_trunk_alone(tmp_path):
    from roadseg.models.resnet import ResNet
    from tests.models.test_transfer import Head

    trunk = ResNet(18, width=8, depths=(1, 1, 1, 1), classes=10)
    torch.save(trunk.state_dict(), tmp_path / "resnet.pth")
    model = Head()
    text = start_from(model, Model(name="x", weights=str(tmp_path / "resnet.pth")), space("camvid-11"))
    assert text.startswith("starts from resnet.pth, trunk: ")
    assert torch.equal(model.backbone.layer4[0].conv2.weight, trunk.layer4[0].conv2.weight)


def test_what_fits_nothing_is_refused(tmp_path):
    from roadseg.errors import WeightsError

    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no trunk"):
        start_from(
            build("fast-scnn", 11),
            dataclasses.replace(NET, weights=str(tmp_path / "w.pth")),
            space("camvid-11"),
        )
