"""Joint random changes of image and mask, on torchvision's v2 transforms.

Everything works on uint8 RGB images; normalization happens on the device, last (`roadseg.inference.preprocess`).
"""

import math
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from roadseg.data.records import Sample

__all__ = ["RandomZoomCrop", "TrainTransform"]

_GRAY = 124  # close to the mean of natural images on the 0..255 scale, so that padding looks like "nothing"


class RandomZoomCrop(v2.Transform):
    """Zoom by a random factor and cut a random window of fixed size.

    The window is cut first and only it is resized, so the cost does not depend on the size of the image. Where the
    zoomed image is smaller than the window, it is placed at random and the rest filled: image gray, mask ``ignore``.

    Args:
        crop: Height and width of the result.
        scale: Range of the zoom factor, drawn log-uniformly so that halving is as likely as doubling.
        ignore: Mask id of filled pixels.
    """

    def __init__(self, crop: tuple[int, int], scale: tuple[float, float], ignore: int) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale must be an increasing range above 0, not {scale}")
        self.crop = crop
        self.scale = scale
        self.ignore = ignore

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one window, used for the image and for its mask."""
        height, width = v2.query_size(flat_inputs)
        low, high = (math.log(value) for value in self.scale)
        zoom = math.exp(low + (high - low) * float(torch.rand(())))
        top, rows, pad_top, out_rows = _window(height, self.crop[0], zoom)
        left, columns, pad_left, out_columns = _window(width, self.crop[1], zoom)
        return {
            "window": (top, left, rows, columns),
            "size": (out_rows, out_columns),
            "padding": [
                pad_left,
                pad_top,
                self.crop[1] - out_columns - pad_left,
                self.crop[0] - out_rows - pad_top,
            ],
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401 - torchvision's signature
        """Cut, resize and pad one image or mask."""
        out = TF.resized_crop(inpt, *params["window"], size=list(params["size"]), antialias=True)
        if any(params["padding"]):
            fill = self.ignore if isinstance(inpt, tv_tensors.Mask) else _GRAY
            out = TF.pad(out, params["padding"], fill=fill)
        return out


def _window(length: int, crop: int, zoom: float) -> tuple[int, int, int, int]:
    """Draw (source start, source length, padding before, result length) along one side."""
    wanted = max(1, round(crop / zoom))
    if wanted <= length:
        return _randint(length - wanted), wanted, 0, crop
    result = min(crop, max(1, round(length * zoom)))
    return 0, length, _randint(crop - result), result


def _randint(high: int) -> int:
    """Draw from 0..high inclusive."""
    return int(torch.randint(high + 1, ()))


class TrainTransform:
    """Zoom and crop, flip, and change colors of a `Sample`; a value, so that loader processes can receive it.

    Args:
        crop: Height and width of the training crop.
        scale: Range of the random zoom.
        flip: Probability of a horizontal flip.
        brightness: Half-width of the brightness factor's range around 1; likewise contrast and saturation.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        hue: Half-width of the hue shift, in turns.
        ignore: Mask id of pixels without truth.
    """

    def __init__(
        self,
        *,
        crop: tuple[int, int],
        scale: tuple[float, float],
        flip: float,
        ignore: int,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        steps: list[v2.Transform] = [RandomZoomCrop(crop, scale, ignore)]
        if flip:
            steps.append(v2.RandomHorizontalFlip(flip))
        if brightness or contrast or saturation or hue:
            steps.append(v2.ColorJitter(brightness, contrast, saturation, hue))
        self.steps = v2.Compose(steps)

    def __call__(self, sample: Sample) -> Sample:
        """Return the changed sample; draws from torch's global generator."""
        image, mask = self.steps(tv_tensors.Image(sample.image), tv_tensors.Mask(sample.mask))
        return Sample(image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor), sample.key)
