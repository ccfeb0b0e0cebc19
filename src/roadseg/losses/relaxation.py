"""Boundary label relaxation: near a boundary, the class of any neighbor is right."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F

from roadseg.losses.criterion import Criterion
from roadseg.losses.image_weighted import count_classes, share_weights

__all__ = ["RelaxedLoss"]


class RelaxedLoss(Criterion):
    """Boundary label relaxation (Zhu, Sapra, Reda et al., CVPR 2019, section 3.3).

    A pixel's classes are those of its whole neighborhood, and its loss is ``-log`` of their joint probability, times
    the mean of their weights. Weights are those of `ImageWeightedLoss`, counted over the neighborhoods' classes.
    Ignored pixels next to valid ones have classes too; those without any have no loss. An image's loss is its sum over
    pixels divided by one more than its pixels with a class.

    The neighborhoods are made from the mask, on its device.

    Args:
        ignore: The mask id that means "no truth here"; so is what lies outside the image.
        num_classes: C.
        radius: Pixels around each pixel whose labels count as its own.
        strict: Classes whose own pixels are not relaxed.
        off_epoch: After this epoch each pixel has its own class only, and pixels at a boundary count twice; None for
            never.
        bound: How much a rare class may weigh beyond 1.
        over: Whether weights are counted over each image or over the whole batch.
        compat: False divides each pixel's loss by the number of its own classes, and averages the images. True does as
            the published code: the loss is divided by the number of classes at the same place of every image of the
            batch in turn (after ``off_epoch``, doubled where that image has a boundary), and all the results are
            summed, so that it grows with the square of the batch. The parts of a split step are then averaged.
    """

    per = ("image",)

    def __init__(
        self,
        ignore: int,
        *,
        num_classes: int,
        radius: int = 1,
        strict: Sequence[int] = (),
        off_epoch: int | None = None,
        bound: float = 1.0,
        over: Literal["image", "batch"] = "image",
        compat: bool = False,
    ) -> None:
        super().__init__(ignore)
        self.num_classes, self.radius, self.strict = num_classes, radius, tuple(strict)
        self.off_epoch, self.bound, self.over, self.compat = off_epoch, bound, over, compat
        self.relaxed = True

    def start_epoch(self, epoch: int) -> None:
        """Relax boundaries up to and including ``off_epoch``; epochs count from 0."""
        self.relaxed = self.off_epoch is None or epoch <= self.off_epoch

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[1]`` sum over images of their losses."""
        with torch.autocast(logits.device.type, enabled=False):
            per_image = (self._relaxed if self.relaxed else self._sharp)(logits.float(), mask)
            return per_image.sum(0, keepdim=True)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[1]``: the images that have a valid pixel, or 1 for the published sum."""
        if self.compat:
            return torch.ones(1, device=mask.device)
        return (mask != self.ignore).flatten(1).any(1).sum().float()[None]

    def neighborhoods(
        self, mask: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
        """Return each pixel's label, which pixels have others around them, and the labels around these.

        Args:
            mask: ``[B, H, W]``.

        Returns:
            ``[B, H, W]`` labels, C for "no truth here"; image, row and column of the ``[N]`` pixels near a relaxed
            boundary; the labels in their windows, ``[N, C + 1]`` booleans. All other pixels have their own label only.
        """
        side = 2 * self.radius + 1
        labels = mask.long().masked_fill(mask == self.ignore, self.num_classes)
        padded = F.pad(labels, [self.radius] * 4, value=self.num_classes)
        wide = padded[:, None].float()
        mixed = (F.max_pool2d(wide, side, 1) != -F.max_pool2d(-wide, side, 1))[:, 0]
        for channel in self.strict:
            mixed &= labels != channel
        place = mixed.nonzero().unbind(1)
        windows = padded.unfold(1, side, 1).unfold(2, side, 1)[place].flatten(1)
        near = mask.new_zeros((len(windows), self.num_classes + 1), dtype=torch.bool)
        return labels, place, near.scatter_(1, windows, True)

    def _relaxed(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        labels, place, near = self.neighborhoods(mask)
        image, row, column = place
        counts = count_classes(mask, self.ignore, self.num_classes)
        gained = near.float() - F.one_hot(labels[place], self.num_classes + 1)
        weights = share_weights(counts.index_add(0, image, gained), self.bound, self.over)[:, :-1]

        near = near[:, :-1]
        number = torch.ones_like(labels, dtype=torch.float32).index_put(place, near.sum(1).float())
        inverse = 1 / number
        inverse = inverse.sum(0).expand_as(number) if self.compat else inverse

        # Pixels with one class, as in any cross entropy; a window of several labels holds a class.
        target = labels.index_put(place, labels.new_tensor(self.num_classes))
        alone = target != self.num_classes
        own = weights.gather(1, target.masked_fill(~alone, 0).flatten(1)).view_as(inverse) * inverse
        loss = own * F.cross_entropy(logits, target, ignore_index=self.num_classes, reduction="none")

        scores = logits[image, :, row, column]
        right = scores.masked_fill(~near, -torch.inf).logsumexp(1)
        mean = (near * weights[image]).sum(1) * inverse[place]
        loss = loss.index_put(place, mean * (scores.logsumexp(1) - right))
        pixels = alone.index_put(place, alone.new_tensor(True)).flatten(1).sum(1)
        return loss.flatten(1).sum(1) / (1 + pixels)

    def _sharp(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        ignored = mask == self.ignore
        times = 1 + self._at_boundary(mask).int()
        weights = share_weights(
            count_classes(mask, self.ignore, self.num_classes, times), self.bound, self.over
        )
        target = mask.long().masked_fill(ignored, 0)
        weight = weights.gather(1, target.flatten(1)).view_as(times)
        weight = weight * (times.masked_fill(ignored, 1).sum(0) if self.compat else times)
        loss = F.cross_entropy(logits, target, reduction="none")
        total = (loss * weight.masked_fill_(ignored, 0)).flatten(1).sum(1)
        return total / (1 + (~ignored).flatten(1).sum(1))

    def _at_boundary(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[B, H, W]`` pixels with another label above, below, left or right, ignored or not."""
        boundary = torch.zeros_like(mask, dtype=torch.bool)
        below, right = mask[:, 1:] != mask[:, :-1], mask[:, :, 1:] != mask[:, :, :-1]
        boundary[:, 1:] |= below
        boundary[:, :-1] |= below
        boundary[:, :, 1:] |= right
        boundary[:, :, :-1] |= right
        return boundary
