import pytest
import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference import (
    Bounded,
    Flip,
    Hierarchical,
    MultiScale,
    Probabilities,
    Sliding,
    Whole,
    choose,
    cost,
)
from roadseg.inference.quality import gives_attention
from roadseg.labels import LabelMap, space
from roadseg.models.output import Output
from tests.tiny import tiny


class Attentive(nn.Module):
    stride, align_corners, num_classes = 1, False, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.scale_attn = nn.Conv2d(3, 1, 1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.conv(images), attention=torch.sigmoid(self.scale_attn(images)))


BEST = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


@pytest.mark.parametrize(
    ("quality", "flags", "expected"),
    [
        ("fast", {}, Bounded()),
        ("fast", {"max_memory": 10**9}, Bounded(10**9)),
        ("fast", {"flip": True}, Flip(Bounded())),
        ("fast", {"scales": (0.5, 1.0)}, MultiScale((0.5, 1.0), inner=Bounded())),
        ("fast", {"window": 64}, Sliding(64, stride=48)),
        ("fast", {"window": 10, "max_memory": 10**9}, Sliding(10, stride=4, max_memory=10**9)),
        ("balanced", {}, Flip(Bounded())),
        ("balanced", {"window": 64}, Flip(Sliding(64, stride=48))),
        ("best", {}, MultiScale(BEST, flip=True, inner=Bounded())),
        ("best", {"scales": (1.0, 2.0)}, MultiScale((1.0, 2.0), flip=True, inner=Bounded())),
    ],
)
def test_presets(quality, flags, expected):
    assert choose(quality, tiny(3), **flags) == expected


def test_networks_that_learned_to_blend_scales_do():
    model = Attentive().eval()
    assert gives_attention(model)
    assert not gives_attention(tiny(3))
    assert choose("best", model) == Bounded(None, Hierarchical((0.5, 1.0, 2.0)))
    assert choose("best", model, flip=True, scales=(0.5, 1.0)) == Flip(
        Bounded(None, Hierarchical((0.5, 1.0)))
    )
    assert choose("best", model, window=64) == Sliding(64, stride=48, inner=Hierarchical(), batch=1)
    averaged = choose("best", model, scales=(0.5, 2.0))  # scale 1 is missing: nothing to blend into
    assert averaged == MultiScale((0.5, 2.0), flip=True, inner=Bounded())


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
@pytest.mark.parametrize("window", [None, 48])
@pytest.mark.parametrize("model", [tiny(11), Attentive()], ids=["plain", "attentive"])
@torch.inference_mode()
def test_every_preset_runs_and_projects(quality, window, model):
    source = space("camvid-11")
    target = space("cityscapes-19")
    images = torch.randn(1, 3, 70, 90)
    strategy = choose(quality, model.eval(), window=window, max_memory=10**8)
    assert strategy(model, images).scores.shape[1] == model.num_classes
    if model.num_classes == source.num_classes:
        project = LabelMap.by_name(source, target)
        found = choose(quality, model, window=window, to=project)(model, images)
        assert found.probabilities
        assert found.scores.shape[1] == 19


def test_a_map_to_the_same_space_changes_nothing():
    same = space("camvid-11")
    assert choose("fast", tiny(11), to=LabelMap.by_name(same, same)) == Bounded()
    assert choose("fast", tiny(11), to=LabelMap.by_name(same, space("cityscapes-19"))) == Bounded(
        None, Probabilities(Whole(), LabelMap.by_name(same, space("cityscapes-19")))
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Whole(), (1, 1.0)),
        (Flip(), (2, 2.0)),
        (Hierarchical((0.5, 1.0)), (2, 1.25)),
        (Hierarchical((0.5, 1.0, 2.0)), (3, 5.25)),
        (Hierarchical((0.25, 0.5, 1.0, 2.0)), (4, 5.3125)),
        (MultiScale((0.5, 1.0, 2.0), flip=True), (6, 10.5)),
        (Sliding(1024, overlap=0.5), (3, 1.5)),
        (Sliding(4096), (1, 1.0)),
        (Bounded(1, Flip()), (2, 2.0)),
    ],
    ids=str,
)
def test_costs_are_relative_to_one_pass(strategy, expected):
    assert cost(strategy, (1024, 2048)) == expected


def test_a_strategy_of_unknown_cost_counts_as_one_pass():
    class Strange:
        def describe(self) -> str:
            return "strange"

    assert cost(Strange(), (10, 20)) == (1, 1.0)


@pytest.mark.parametrize(
    ("flags", "message"), [({"window": 0}, "--window"), ({"scales": (0.0,)}, "no scales")]
)
def test_unusable_choices_are_refused(flags, message):
    with pytest.raises(RecipeError, match=message):
        choose("fast", tiny(3), **flags)
