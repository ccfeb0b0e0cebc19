import dataclasses

import numpy as np
import pytest
import torch

from roadseg.errors import RecipeError
from roadseg.inference import Flip, MultiScale, Predictor, Sliding, WeightsCard, Whole
from roadseg.inference.maps import score
from roadseg.inference.predictor import probability_rows
from roadseg.labels import space
from roadseg.recipes import Preprocess
from tests.fakes import picture
from tests.slow import slow
from tests.tiny import tiny

SIZE = (38, 51)
STRATEGIES = [Whole(), Flip(Whole()), MultiScale((0.5, 1.0), flip=True), Sliding(32, stride=16)]


def predictor(make, strategy, spec=None):
    model = make(11)
    torch.nn.init.normal_(model.head.weight, std=20)
    card = WeightsCard(model="tiny", space=space("camvid-11"), preprocess=spec or Preprocess())
    return Predictor(model, card, strategy=strategy, device="cpu")


def as_batch(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
@pytest.mark.parametrize("spec", [Preprocess(), Preprocess(short_side=24)], ids=["native", "resized"])
def test_maps_of_a_batch_are_those_of_the_predictor(strategy, spec):
    ready = predictor(tiny, strategy, spec)
    images = [picture("a", SIZE), picture("b", SIZE)]
    expected = ready.decode(as_batch(images), confidence=True)
    chances = torch.cat(
        [rows for _, rows in probability_rows(*ready.scores(as_batch(images)), expected.labels.shape[1:])], 2
    ).double()
    chances = chances / chances.sum(1, keepdim=True)
    entropy = torch.special.entr(chances).sum(1) / np.log(11)
    for index, one in enumerate(score(ready, images)):
        found = one.decode(confidence=True)
        assert torch.equal(found.labels[0], expected.labels[index])
        assert torch.allclose(found.confidence[0], expected.confidence[index], atol=1e-5)
        assert np.abs(one.entropy() - entropy[index].numpy()).max() < 1e-4
        full, small = one.probabilities(full=True), one.probabilities()
        assert np.abs(full - chances[index].numpy()).max() < 1e-3
        assert small.shape[0] == 11
        assert np.abs(small.astype(float).sum(0) - 1).max() < 5e-3
        assert one.grid[0] >= one.seen[0]


def test_attention_comes_from_whole_images_by_scale():
    images = [picture("a", SIZE), picture("b", SIZE)]
    ready = predictor(slow, MultiScale((0.5, 1.0, 2.0), flip=True))
    for one, image in zip(score(ready, images, attention=True), images, strict=True):
        maps = one.attention_maps()
        assert list(maps) == [0.5, 1.0, 2.0]
        assert all(
            values.shape == SIZE and values.min() >= 0 and values.max() <= 1 for values in maps.values()
        )
        alone = predictor_like(ready, Whole())
        expected = score(alone, [image], attention=True)[0].attention_maps()[1.0]
        assert np.abs(maps[1.0] - expected).max() < 1e-4
    assert not ready.model._forward_hooks


def predictor_like(ready, strategy):
    return Predictor(ready.model, dataclasses.replace(ready.card), strategy=strategy, device="cpu")


def test_no_attention_over_whole_images():
    ready = predictor(slow, Sliding(32, stride=16))
    with pytest.raises(RecipeError, match="no attention over whole images"):
        score(ready, [picture("a", SIZE)], attention=True)[0].attention_maps()
    with pytest.raises(RecipeError, match="no attention"):
        score(predictor(slow, Whole()), [picture("a", SIZE)])[0].attention_maps()
