"""From stored pixels to the network's input, on whatever device the pixels already are."""

import torch
import torch.nn.functional as F

from roadseg.recipes import Preprocess

__all__ = ["normalize", "resize_images"]


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


def resize_images(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize ``[B, 3, H, W]`` bilinearly to float32 ``[B, 3, *size]``, without anti-aliasing.

    Networks whose preprocessing fixes a size were trained on plainly interpolated images.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images.float()
    return F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
