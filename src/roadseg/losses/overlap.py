"""Losses of segmentation-models-pytorch: Focal, and the overlaps of whole regions, Dice and Lovasz."""

import importlib
import warnings
from abc import abstractmethod
from types import ModuleType

import torch
import torch.nn.functional as F

from roadseg.errors import RecipeError
from roadseg.losses.criterion import Criterion
from roadseg.losses.cross_entropy import CrossEntropyLoss

__all__ = ["DiceLoss", "FocalLoss", "LovaszLoss"]


class FocalLoss(Criterion):
    """Focal loss: sigmoid cross entropy of every class against the rest, where easy decisions count little.

    Lin et al., ICCV 2017, equation 4 without alpha; summed over the classes, averaged over the valid pixels.

    Args:
        ignore: The mask id that means "no truth here".
        gamma: How fast easy pixels lose weight.
        cross_entropy: Weight of plain cross entropy added to it.

    Raises:
        RecipeError: segmentation-models-pytorch is not installed.
    """

    def __init__(self, ignore: int, *, gamma: float = 2.0, cross_entropy: float = 0.0) -> None:
        super().__init__(ignore)
        # Releases differ in whether they add or average over classes: all (pixel, class) pairs go in as one list.
        self._focal = _library().FocalLoss("binary", gamma=gamma, reduction="sum")
        self._plain = CrossEntropyLoss(ignore)
        self.cross_entropy = cross_entropy

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[1]`` sum over pixels and classes."""
        valid = mask != self.ignore
        scores = logits.movedim(1, -1)[valid]
        truth = F.one_hot(mask[valid].long(), logits.shape[1])
        total: torch.Tensor = self._focal(scores, truth).reshape(1)
        if self.cross_entropy:
            total = total + self.cross_entropy * self._plain.sums(logits, mask)
        return total

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return, as ``[1]``, the number of valid pixels."""
        return self._plain.normalizers(mask)


class _OverlapLoss(Criterion):
    """A loss of whole regions, beside cross entropy over pixels.

    A region spreads over the batch, so it is no sum over pixels: each part of a split step takes its own regions,
    and the parts' losses are averaged by their images that have a truth.
    """

    per = ("image", "pixel")

    def __init__(self, ignore: int, cross_entropy: float) -> None:
        super().__init__(ignore)
        self._plain = CrossEntropyLoss(ignore)
        self.cross_entropy = cross_entropy

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]``: the regions' loss times the images, and the weighted sum of cross entropy over pixels."""
        pixels = logits.new_zeros(1)
        if self.cross_entropy:
            pixels = self.cross_entropy * self._plain.sums(logits, mask)
        return torch.cat([self._regions(logits, mask).reshape(1), pixels])

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]``: the images that have a truth, and the valid pixels."""
        return torch.cat([self._images(mask).reshape(1), self._plain.normalizers(mask)])

    def _images(self, mask: torch.Tensor) -> torch.Tensor:
        return (mask != self.ignore).flatten(1).any(1).sum().float()

    @abstractmethod
    def _regions(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss of the regions, times the number of images that have a truth."""


class DiceLoss(_OverlapLoss):
    """One minus the soft Dice score, averaged over all classes; a class that is absent counts as 0.

    Milletari, Navab, Ahmadi, 3DV 2016, section 3, with softmax probabilities, regions taken over the whole batch.

    Args:
        ignore: The mask id that means "no truth here".
        smooth: Pixels added to the intersection and to the regions' mean size, whose ratio the score is.
        cross_entropy: Weight of plain cross entropy added to it.

    Raises:
        RecipeError: segmentation-models-pytorch is not installed.
    """

    def __init__(self, ignore: int, *, smooth: float = 0.0, cross_entropy: float = 0.0) -> None:
        super().__init__(ignore, cross_entropy)
        self._dice = _library().DiceLoss("multiclass", smooth=smooth, ignore_index=ignore)

    def _regions(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self._dice(logits, mask.long())
        return loss * self._images(mask)


class LovaszLoss(_OverlapLoss):
    """Lovasz-softmax: the convex extension of one minus the IoU, averaged over the classes that are present.

    Berman, Rannen Triki, Blaschko, CVPR 2018, section 3.1.

    Args:
        ignore: The mask id that means "no truth here".
        per_image: Whether the loss of each image is taken alone; else that of the whole batch.
        stride: Only every so many pixels, along both sides, are part of the regions; all are of the cross entropy.
        cross_entropy: Weight of plain cross entropy added to it.

    Raises:
        RecipeError: segmentation-models-pytorch is not installed.
    """

    def __init__(
        self, ignore: int, *, per_image: bool = False, stride: int = 1, cross_entropy: float = 0.0
    ) -> None:
        super().__init__(ignore, cross_entropy)
        self._lovasz = _library().LovaszLoss("multiclass", ignore_index=ignore)
        self.per_image = per_image
        self.stride = stride

    def _regions(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        images = self._images(mask)
        # Each class sorts all its pixels, which takes longer on a CPU than the rest of the step.
        logits, mask = logits[..., :: self.stride, :: self.stride], mask[..., :: self.stride, :: self.stride]
        if not self.per_image:
            return self._batch(logits, mask) * images
        # One by one, because the library's own loop loses the batch's loss where one image has no truth at all.
        return torch.stack([self._batch(logits[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]).sum()

    def _batch(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # The sum turns what the library returns without any truth, an empty table, into 0 with gradient 0.
        loss: torch.Tensor = self._lovasz(logits, mask.long())
        return loss.sum()


def _library() -> ModuleType:
    name = "segmentation_models_pytorch.losses"
    try:
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module(name)
    except ImportError as error:
        raise RecipeError(
            f"Focal, Dice and Lovasz losses need segmentation_models_pytorch ({error})",
            remedy="pip install 'roadseg[smp]'",
        ) from error
