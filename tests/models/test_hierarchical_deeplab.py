import json
from pathlib import Path

import pytest
import torch

from roadseg.errors import RecipeError
from roadseg.inference import Hierarchical
from roadseg.models import catalog
from roadseg.models.hierarchical import two_scales
from roadseg.models.layouts import layout_of, layouts
from tests.contracts.variants.hierarchical_deeplab import VARIANTS


def _state(name: str, classes: int, **options: object) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return catalog.build(name, classes, **options).state_dict()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_pair_of_inference_is_that_of_training(variant: str) -> None:
    model = VARIANTS[variant](4).eval()
    images = torch.randn(1, 3, 48, 80)
    with torch.no_grad():
        trained = two_scales(model.single_scale, images).logits
        run = Hierarchical((0.5, 1.0))(model, images).scores
    torch.testing.assert_close(run, trained)


def test_training_returns_both_scales_at_the_size_of_the_image() -> None:
    model = VARIANTS["deeplabv3plus-hms"](4)
    output = model.train()(torch.randn(2, 3, 33, 50))
    assert [tuple(x.shape) for x in (output.logits, *output.aux)] == [(2, 4, 33, 50)] * 3


def test_attention_sees_what_the_decoder_classifies() -> None:
    """Detail (48 channels) and context (256): the published attention convolves 304 channels."""
    assert _state("deeplabv3plus-wrn38-hms", 19)["scale_attn.conv0.weight"].shape == (256, 304, 3, 3)


def test_names_and_shapes_are_the_published_ones(shared: Path) -> None:
    keys = json.loads((shared / "facts" / "keys" / "nvidia_main.json").read_text())["mscale.DeepV3R50"][
        "keys"
    ]
    pair = layout_of({key: torch.empty(shape, device="meta") for key, shape in keys.items()})
    assert pair is not None
    assert pair[1].model == "deeplabv3plus-resnet50-hms"
    ours = _state(pair[1].model, pair[1].num_classes, **pair[1].options)
    names = pair[0].to_theirs(ours)
    assert {names[key]: list(value.shape) for key, value in ours.items()} == keys


@pytest.mark.parametrize("trunk", ["resnet", "wrn38", "xception71"])
def test_published_files_are_recognised(trunk: str) -> None:
    name = "deeplabv3plus-resnet50-hms" if trunk == "resnet" else f"deeplabv3plus-{trunk}-hms"
    ours = _state(name, 65, skip=2)
    published = next(each for each in layouts() if each.name == f"nvidia-main/deeplabv3plus-{trunk}-hms")
    names = published.to_theirs(ours)
    pair = layout_of({names[key]: value for key, value in ours.items()})
    assert pair is not None
    assert pair[0] is published
    assert (pair[1].model, pair[1].num_classes, pair[1].options) == (name, 65, {"skip": 2})


def test_unknown_trunks_are_not_recognised() -> None:
    """There is no such network on ResNet-101."""
    attention = {
        key: value for key, value in _state("deeplabv3plus-resnet50-hms", 19).items() if "attn" in key
    }
    assert layout_of(_state("deeplabv3plus-resnet101", 19) | attention) is None


def test_low_scale_is_below_one() -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match="between 0 and 1"):
        catalog.build("deeplabv3plus-resnet50-hms", 19, low_scale=1.0)
