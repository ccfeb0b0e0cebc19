from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.models import catalog
from roadseg.models.espnetv2 import ESPNetv2, _average, _scaled, _Shuffle
from roadseg.models.layouts import detect, layout_of, layouts
from roadseg.models.transfer import load_encoder
from tests.write_model_figures import multiply_adds, parameters

SIZES = ("espnetv2-s05", "espnetv2-s10", "espnetv2-s15", "espnetv2-s20")
TINY = (16, 32, 48, 64)


def _tiny(num_classes: int = 5, **options: int) -> ESPNetv2:
    return ESPNetv2(num_classes, TINY, depths=(1, 1), **options)


def test_is_as_large_as_published() -> None:
    with torch.device("meta"):
        model = catalog.build("espnetv2-s20", 20).eval()
    assert parameters(model) == pytest.approx(0.79e6, rel=0.005)
    # The authors count additions of biases and normalization too.
    assert multiply_adds(model, (512, 1024)) == pytest.approx(2699.05e6, rel=0.02)


def test_dilations_are_limited_at_a_sixteenth() -> None:
    trunk = _tiny().backbone
    dilations = {
        name: [branch.conv.dilation[0] for branch in unit.spp_dw]
        for name, unit in (
            ("1/4", trunk.level2_0.eesp), ("1/8", trunk.level3[0]), ("down", trunk.level4_0.eesp), ("1/16", trunk.level4[0])
        )
    }  # fmt: skip
    assert dilations == {"1/4": [1, 2, 3, 4], "1/8": [1, 2, 3, 4], "down": [1, 2, 3, 4], "1/16": [1, 1, 2, 3]}


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    scale=st.sampled_from([Fraction(3, 2), Fraction(1, 2), Fraction(1, 10)]),
)
def test_exported_average_is_the_built_in_one(height: int, width: int, scale: Fraction) -> None:
    size, smaller = (height, width), _scaled((height, width), scale, smallest=5)
    if scale > 1:
        size, smaller = _scaled(size, scale, smallest=1), size
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        pooled = _average(x, smaller, max(scale, 1 / scale))
    torch.testing.assert_close(pooled, F.adaptive_avg_pool2d(x, smaller))


def test_scaled_sizes_are_rounded_up_and_never_tiny() -> None:
    assert _scaled((22, 30), Fraction(1, 10), smallest=5) == (5, 5)
    assert _scaled((256, 512), Fraction(1, 10), smallest=5) == (26, 52)
    assert _scaled((7, 70), Fraction(3, 2), smallest=1) == (11, 105)


def test_shuffle_is_torchs() -> None:
    x = torch.randn(2, 30, 3, 4)
    assert torch.equal(_Shuffle(5)(x), F.channel_shuffle(x, 5))


@pytest.mark.parametrize(("num_classes", "width"), [(1, 1), (2, 1), (20, 10), (65, 16)])
def test_channels_per_scale_follow_the_classes(num_classes: int, width: int) -> None:
    assert _tiny(num_classes).bu_dec_l1.stages[0].out_channels == width


@pytest.mark.parametrize("name", SIZES)
def test_published_names_are_recognized_and_come_back(name: str) -> None:
    with torch.device("meta"):
        ours = catalog.build(name, 20, decoder_width=32).state_dict()
    layout = next(layout for layout in layouts() if layout.name == "sacmehta/espnetv2")
    names = layout.to_theirs(ours)
    theirs = {names[key]: value for key, value in ours.items()}
    unused = {f"base_net.level{level}_0.eesp.module_act.weight": torch.zeros(16) for level in (2, 3, 4)}
    pair = layout_of(theirs | unused)
    assert pair is not None
    assert pair[0] is layout
    assert (pair[1].model, pair[1].num_classes, dict(pair[1].options)) == (name, 20, {"decoder_width": 32})
    assert set(layout.to_ours(theirs | unused).values()) == set(ours)


def test_other_widths_are_not_recognized() -> None:
    assert detect(_tiny().state_dict()) is None


def test_trunk_takes_weights_of_the_classifier_alone() -> None:
    model, other = _tiny(), _tiny()
    imagenet = dict(other.backbone.state_dict()) | {"classifier.weight": torch.zeros(1000, 1024)}
    load_encoder(model, imagenet)
    assert all(torch.equal(value, imagenet[key]) for key, value in model.backbone.state_dict().items())


@pytest.mark.parametrize("widths", [(16, 32, 48, 60), (16, 16, 32, 48), (32, 16, 48, 64)])
def test_widths_that_do_not_divide_are_refused(widths: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        ESPNetv2(5, widths)
