"""From stored pixels to the network's input, on whatever device the pixels already are."""

import torch
import torch.nn.functional as F

from roadseg.recipes import Preprocess

__all__ = ["network_size", "normalize", "resize_images"]

_LONGEST = 8
"""A side is enlarged to at most this many times the short side: a 1x10000 image must not become gigabytes."""


def normalize(images: torch.Tensor, spec: Preprocess) -> torch.Tensor:
    """Return ``(pixel - mean) / std * scale`` in the channel order the network expects.

    Args:
        images: uint8 or float ``[B, 3, H, W]``, RGB on the 0..255 scale.
        spec: The network's preprocessing.

    Returns:
        float32 ``[B, 3, H, W]``, in the memory format of the input.
    """
    if spec.order == "BGR":
        images = images.flip(1)
    mean = torch.tensor(spec.mean, device=images.device).view(3, 1, 1)
    factor = spec.scale / torch.tensor(spec.std, device=images.device).view(3, 1, 1)
    return (images.float() - mean) * factor


def network_size(height: int, width: int, spec: Preprocess) -> tuple[int, int]:
    """Return the height and width at which the network sees an image of the given ones."""
    if spec.size is not None:
        return spec.size
    if spec.short_side is None:
        return height, width
    short, long = sorted((height, width))
    factor = min(spec.short_side / short, max(1.0, _LONGEST * spec.short_side / long))
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize_images(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize ``[B, 3, H, W]`` bilinearly to float32 ``[B, 3, *size]``, without anti-aliasing.

    Networks whose preprocessing fixes a size were trained on plainly interpolated images. At the same size, the images
    are returned as they are.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
