from typing import Any

import pytest
import torch
from torch.export import Dim, export

from roadseg.models.dfanet import DFANet, XceptionA, dfanet_a, dfanet_b
from roadseg.models.layouts import layout_of, layouts
from roadseg.models.weights import load_weights


def _tiny(**options: Any) -> DFANet:
    widths = {"widths": (8, 8, 16), "depths": (1, 1, 1), "stem_width": 4, "hidden": 12, "decoder_width": 8}
    return DFANet(5, **(widths | options)).eval()


@pytest.mark.parametrize("build", [dfanet_a, dfanet_b])
@pytest.mark.parametrize("options", [{}, {"aux": True}, {"aux": True, "imagenet_head": True}], ids=str)
def test_published_files_find_their_network(build: Any, options: dict[str, Any]) -> None:
    trained = build(7, **options)
    ours = trained.state_dict()
    layout = next(each for each in layouts() if each.name == "fast-seg/dfanet")
    names = layout.to_theirs(ours)
    state = {names[key]: value for key, value in ours.items()}
    pair = layout_of(state)
    assert pair is not None
    assert pair[0] is layout
    assert pair[1].model == build.__name__.replace("_", "-")
    assert pair[1].options == options | {"align_corners": True}
    again = build(7, **pair[1].options)
    load_weights(again, state)
    for key, value in again.state_dict().items():
        assert torch.equal(value, ours[key]), key


def test_other_widths_are_not_recognised() -> None:
    assert layout_of(_tiny().state_dict()) is None


def test_imagenet_classifier_leaves_the_logits_alone() -> None:
    bare, with_head = _tiny(), _tiny(imagenet_head=True)
    missing = with_head.load_state_dict(bare.state_dict(), strict=False).missing_keys
    assert missing == ["backbone.fc.weight", "backbone.fc.bias"]
    images = torch.randn(1, 3, 40, 72)
    with torch.no_grad():
        assert torch.equal(with_head(images).logits, bare(images).logits)


def test_each_pass_starts_at_half_the_resolution_of_the_last() -> None:
    model = _tiny(aux=True)
    seen: list[tuple[int, ...]] = []
    for each in (model.backbone, *model.branches):
        each.register_forward_hook(lambda _module, _args, out: seen.append(tuple(x.shape[-1] for x in out)))
    output = model.train()(torch.randn(2, 3, 64, 256))
    assert seen == [(64, 32, 16, 16), (32, 16, 8, 8), (16, 8, 4, 4)]
    assert [tuple(each.shape[-2:]) for each in output.aux] == [(16, 64), (8, 32)]


def test_trunk_has_the_widths_of_the_paper() -> None:
    with torch.device("meta"):
        features = XceptionA().eval()(torch.empty(1, 3, 128, 128))
    assert [tuple(x.shape[1:]) for x in features] == [(48, 32, 32), (96, 16, 16), (192, 8, 8), (192, 8, 8)]


def test_three_passes_export_with_free_height_and_width() -> None:
    """From an image of more than 64 pixels, for such images: the exporter takes a side of one cell for a constant."""
    model = _tiny()
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    program = export(model, (torch.randn(1, 3, 128, 160),), dynamic_shapes=(free,), strict=False).module()
    for size in [(128, 160), (65, 131), (70, 129)]:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(images).logits, model(images).logits, rtol=1e-5, atol=1e-5)


def test_no_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="passes"):
        _tiny(passes=0)
