import json

import pytest
import torch

from roadseg.errors import RecipeError
from roadseg.inference.motion_weights import build_motion
from roadseg.recipes import Milestones, video_prediction
from roadseg.training.motion_start import motion_card

PUBLISHED = {"sdcnet2d.cityscapes": 172_209_324, "sdcnet2d-recon.cityscapes": 172_217_254}


@pytest.mark.parametrize("name", video_prediction.names())
def test_every_plan_can_be_built(name):
    plan = video_prediction.get(name)
    assert plan.name == name
    assert f"roadseg motion train {name}" in video_prediction.about(name)
    assert json.loads(json.dumps(plan.to_json()))["optim"]["kind"] == "AdamW"
    with torch.device("meta"):
        network = build_motion(motion_card(plan.network))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PUBLISHED.get(name, count)
    assert (network.flownet2 is None) == (plan.network.flow == "dis")


def test_the_published_plan():
    for name in PUBLISHED:
        plan = video_prediction.get(name)
        assert plan.network.reconstruction == ("recon" in name)
        assert (plan.optim.lr, plan.optim.decoupled, plan.epochs, plan.batch_size) == (1e-4, False, 500, 4)
        assert plan.schedule == Milestones(epochs=(250, 450), factor=0.1)
        assert (plan.crop, plan.seed) == ((448, 448), 1234)
        assert (plan.loss.color, plan.loss.gradient, plan.loss.smoothness) == (0.7, 0.2, 0.1)
        assert plan.network.starts_at == "rest"


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(RecipeError, match=r"did you mean sdcnet2d\.cityscapes"):
        video_prediction.get("sdcnet2d.cityscape")
