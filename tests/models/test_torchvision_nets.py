import pytest
import torch
import torch.nn.functional as F
from torchvision.models import segmentation

from roadseg.errors import RecipeError
from roadseg.models import catalog
from roadseg.models.generic import TORCHVISION
from roadseg.models.layouts import detect

SMALL = "lraspp_mobilenet_v3_large"
AUX = [name for name in TORCHVISION if TORCHVISION[name].aux_weights]


@pytest.mark.parametrize("name", [SMALL, "deeplabv3_mobilenet_v3_large", "fcn_resnet50"])
def test_equals_the_original_after_its_last_resize(name: str) -> None:
    options = {"aux_loss": True} if name in AUX else {}
    theirs = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=5, **options).eval()
    ours = catalog.build(f"torchvision:{name}", 5, **options).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        wanted, logits = theirs(images)["out"], ours(images).logits
    found = F.interpolate(logits, (64, 96), mode="bilinear", align_corners=ours.align_corners)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", TORCHVISION)
def test_stride_and_auxiliary_output_are_as_the_row_says(name: str) -> None:
    row = catalog.row(f"torchvision:{name}")
    with torch.device("meta"):
        model = catalog.build(row.name, 19, **({"aux_loss": True} if name in AUX else {}))
        output = model(torch.empty(2, 3, 97, 161))
    assert model.stride == row.stride
    assert output.logits.shape == (2, 19, -(-97 // row.stride), -(-161 // row.stride))
    assert len(output.aux) == len(row.aux_weights)
    assert all(scores.shape[1] == 19 for scores in output.aux)
    assert model.eval()(torch.empty(2, 3, 97, 161, device="meta")).aux == ()


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("aux", [False, True])
def test_is_recognized_from_its_weights(name: str, aux: bool) -> None:
    options = {"aux_loss": True} if aux and name in AUX else {}
    with torch.device("meta"):
        state = catalog.build(f"torchvision:{name}", 21, **options).state_dict()
    found = detect(state)
    assert found is not None
    assert (found.model, found.num_classes, dict(found.options)) == (f"torchvision:{name}", 21, options)


def test_trunk_takes_weights_of_the_classifier(tmp_path) -> None:
    from torchvision.models import mobilenet_v3_large

    trunk = mobilenet_v3_large(weights=None, dilated=True).features.state_dict()
    model = catalog.build(f"torchvision:{SMALL}", 5)
    assert set(model.backbone.state_dict()) <= set(trunk)


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no network 'deeplabv3_resnet18'.*did you mean deeplabv3_resnet"):
        catalog.build("torchvision:deeplabv3_resnet18", 5)


def test_auxiliary_classifier_that_there_is_none_of() -> None:
    with pytest.raises(RecipeError, match="lraspp_mobilenet_v3_large: has no auxiliary classifier"):
        catalog.build(f"torchvision:{SMALL}", 5, aux_loss=True)


def test_unknown_option() -> None:
    with pytest.raises(RecipeError, match="has no option depth; its options are aux_loss"):
        catalog.build(f"torchvision:{SMALL}", 5, depth=3)
