import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from roadseg.inference import Hierarchical
from roadseg.models.hierarchical import fuse, fuse_scales, hrnet_ocr_w48_hms, scaled_size, two_scales
from roadseg.models.layouts import layout_of
from roadseg.models.output import Output
from tests.contracts.variants.hierarchical import VARIANTS


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, torch.Tensor]:
    with np.load(shared / "golden" / "nvidia" / "nvidia_golden_main.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays if key.startswith(("fake_", "hms_"))}


@pytest.mark.parametrize("scales", ["1.0", "0.5_1.0", "0.5_1.0_2.0", "0.5_1.0_1.5_2.0", "0.25_0.5_1.0_2.0"])
def test_blends_as_published(published: dict[str, torch.Tensor], scales: str) -> None:
    joint = fuse_scales(
        (float(scale), published[f"fake_{scale}_cls_out"], published[f"fake_{scale}_logit_attn"])
        for scale in reversed(scales.split("_"))
    )
    assert torch.equal(joint, published[f"hms_{scales}"])


def test_trains_as_published(published: dict[str, torch.Tensor], shared: Path) -> None:
    def single(images: torch.Tensor) -> Output:
        at = f"fake_{images.shape[-1] / 32}_"
        return Output(published[f"{at}cls_out"], (published[f"{at}aux_out"],), published[f"{at}logit_attn"])

    output = two_scales(single, torch.empty(1, 3, 24, 32))
    assert torch.equal(output.logits, published["hms_two_scale_eval"])
    # The published loss, with the mean of a prediction in the place of each criterion.
    loss = output.logits.mean() + sum(
        weight * scores.mean() for weight, scores in zip((0.4, 0.05, 0.05), output.aux, strict=True)
    )
    expected = json.loads((shared / "golden" / "nvidia" / "nvidia_golden_main.json").read_text())
    assert float(loss.detach()) == pytest.approx(expected["train_loss_mean_crit"], rel=1e-6)


@given(seed=st.integers(0, 99), trust=st.floats(0, 1))
def test_a_blend_lies_between_its_parts(seed: int, trust: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    above, below = (torch.randn(1, 2, 3, 4, generator=generator) for _ in range(2))
    joint = fuse(above, below, torch.full((1, 1, 3, 4), trust), (3, 4))
    torch.testing.assert_close(joint, torch.lerp(above, below, trust))


def test_full_attention_leaves_the_smallest_scale_alone() -> None:
    sizes = {2.0: (8, 12), 1.0: (4, 6), 0.5: (2, 3)}
    maps = {scale: torch.randn(1, 3, *size) for scale, size in sizes.items()}
    everywhere = [(scale, maps[scale], torch.ones(1, 1, *size)) for scale, size in sizes.items()]
    smallest = torch.nn.functional.interpolate(maps[0.5], size=(4, 6), mode="bilinear")
    torch.testing.assert_close(fuse_scales(everywhere), smallest)
    nowhere = [(scale, maps[scale], torch.zeros(1, 1, *size)) for scale, size in sizes.items()]
    largest = torch.nn.functional.interpolate(maps[2.0], size=(4, 6), mode="bilinear")
    torch.testing.assert_close(fuse_scales(nowhere), largest)


@pytest.mark.parametrize(
    ("scales", "message"),
    [([0.5, 1.0], "descend"), ([1.0, 1.0], "descend"), ([2.0, 0.5], "scale 1"), ([], "scale 1")],
)
def test_refuses_scales_it_cannot_blend(scales: list[float], message: str) -> None:
    maps = torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=message):
        fuse_scales([(scale, *maps) for scale in scales])


def test_needs_attention_to_train() -> None:
    with pytest.raises(ValueError, match="without attention"):
        two_scales(lambda images: Output(images), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("side", "scale", "expected"), [(97, 0.5, 48), (163, 0.5, 81), (1, 0.25, 1), (97, 2.0, 194)]
)
def test_scaled_sizes_round_down(side: int, scale: float, expected: int) -> None:
    assert scaled_size((side, 2), scale) == (expected, max(1, math.floor(2 * scale)))


def test_training_blends_two_scales_at_the_size_of_the_image() -> None:
    model = VARIANTS["hrnet-ocr-hms"](4)
    output = model.train()(torch.randn(2, 3, 33, 50))
    assert output.attention is None
    assert [tuple(x.shape) for x in (output.logits, *output.aux)] == [(2, 4, 33, 50)] * 4


@pytest.mark.parametrize("size", [(64, 96), (33, 50)], ids=str)
def test_the_pair_of_inference_is_that_of_training(size: tuple[int, int]) -> None:
    model = VARIANTS["hrnet-ocr-hms"](4).eval()
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        trained = two_scales(model.single_scale, images).logits
        run = Hierarchical((0.5, 1.0), extend=False)(model, images).scores
    torch.testing.assert_close(run, trained)


def test_names_of_the_published_mapillary_network(shared: Path) -> None:
    keys = json.loads((shared / "facts" / "keys" / "nvidia_main.json").read_text())
    with torch.device("meta"):
        ours = hrnet_ocr_w48_hms(65).state_dict()
    assert {key: list(value.shape) for key, value in ours.items()} == keys["ocrnet.HRNet_Mscale[65]"]["keys"]
    found = layout_of(ours)
    assert found is not None
    assert found[1].model == "hrnet-ocr-w48-hms"
    assert found[0].conventions[65].labels == "mapillary-65"


def test_low_scale_is_below_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        hrnet_ocr_w48_hms(19, low_scale=1.0)
