import torch

from roadseg.models.hrnet import HRNet
from roadseg.models.ocr import HRNetOCR, OCRHead, object_vectors


def test_an_object_vector_is_the_mean_of_the_pixels_of_its_class() -> None:
    features = torch.randn(2, 5, 3, 4)
    inside = torch.rand(2, 1, 3, 4) < 0.5
    inside[:, :, 0, 0], inside[:, :, 0, 1] = True, False
    scores = torch.cat([torch.where(inside, 0.0, -1e4), torch.where(inside, -1e4, 0.0)], dim=1)
    vectors = object_vectors(features, scores)
    assert vectors.shape == (2, 5, 2, 1)
    for image in range(2):
        chosen = features[image][:, inside[image, 0]]
        others = features[image][:, ~inside[image, 0]]
        torch.testing.assert_close(vectors[image, :, 0, 0], chosen.mean(1))
        torch.testing.assert_close(vectors[image, :, 1, 0], others.mean(1))


def test_pixels_take_context_from_the_whole_image() -> None:
    head = OCRHead(6, 3, width=8).eval()
    x = torch.randn(1, 6, 9, 11)
    changed = x.clone()
    changed[..., -1, -1] += 5.0
    with torch.no_grad():
        difference = (head(changed)[0] - head(x)[0]).abs()
    assert float(difference[..., 0, 0].min()) > 0  # no 3x3 convolution reaches from one corner to the other


def test_the_coarse_logits_come_out_in_training_and_steer_in_evaluation() -> None:
    trunk = HRNet(4, modules=(1, 1, 1), blocks=1, first_stage=(1, 4), stem_width=8)
    model = HRNetOCR(3, backbone=trunk, width=8)
    images = torch.randn(2, 3, 32, 48)
    output = model(images)
    assert [tuple(x.shape) for x in (output.logits, *output.aux)] == [(2, 3, 8, 12)] * 2
    model.eval()
    with torch.no_grad():
        for module in model.backbone.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        before = model(images).logits
        model.ocr.aux_head[2].weight.mul_(-3.0)
        assert not torch.allclose(model(images).logits, before)
