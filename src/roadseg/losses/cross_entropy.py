"""Cross entropy over the pixels that have a truth, and class weights from label counts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["CrossEntropyLoss", "enet_weights", "median_frequency_weights"]


class CrossEntropyLoss(nn.Module):
    """Mean cross entropy of a network's logits against a mask at image size.

    The logits are upsampled to the mask, as the network's ``align_corners`` says. Auxiliary logits, which only guide
    the training, are compared with the mask at their own cells instead: upsampling two of them would cost as much as a
    small network's whole forward and backward pass. A batch without a single valid pixel gives zero with zero
    gradient, not NaN.

    Args:
        ignore: The mask id that means "no truth here".
        align_corners: How to upsample.
        class_weights: ``[C]``; the mean is then weighted by each pixel's class weight.
        label_smoothing: Mass spread over all classes.
        aux_weights: Weight of each auxiliary output; the last one is repeated.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        ignore: int,
        *,
        align_corners: bool,
        class_weights: torch.Tensor | None = None,
        label_smoothing: float = 0.0,
        aux_weights: Sequence[float] = (0.4,),
    ) -> None:
        super().__init__()
        self.ignore = ignore
        self.align_corners = align_corners
        self.label_smoothing = label_smoothing
        self.aux_weights = tuple(aux_weights)
        self.register_buffer("class_weights", class_weights)

    def forward(
        self, logits: torch.Tensor, mask: torch.Tensor, aux: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Return the scalar loss.

        Args:
            logits: ``[B, C, h, w]`` at any stride.
            mask: ``[B, H, W]`` class ids 0..C-1, or ``ignore``.
            aux: Further logits of the same kind.
        """
        size = mask.shape[-2:]
        # float32 whatever autocast made of the network: a softmax over bfloat16 logits loses small gradients.
        scores = logits.float()
        if scores.shape[-2:] != size:
            scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=self.align_corners)
        loss = self._sum(scores, mask)
        for index, extra in enumerate(aux):
            weight = self.aux_weights[min(index, len(self.aux_weights) - 1)]
            if weight:
                cells = self._at_cells(mask, (extra.shape[-2], extra.shape[-1]))
                # In units of image pixels, so that one normalizer serves all terms.
                loss = loss + self._sum(extra.float(), cells) * (weight * mask.numel() / cells.numel())
        return loss / self.normalizer(mask).clamp(min=1e-12)

    def normalizer(self, mask: torch.Tensor) -> torch.Tensor:
        """Return what the sum over pixels is divided by: the valid pixels of ``[B, H, W]``, or their class weights.

        Steps split over processes or micro-batches weight their parts by it, and so equal the undivided step.
        """
        valid = mask != self.ignore
        if self.class_weights is None:
            return valid.sum().float()
        return self.class_weights[mask.long().masked_fill(~valid, 0)].mul(valid).sum()

    def _sum(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(
            scores,
            mask.long(),
            weight=self.class_weights,
            ignore_index=self.ignore,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def _at_cells(self, mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the mask's ids ``[B, h, w]`` at the pixels where the cells of low-resolution logits lie."""
        rows, columns = (
            _cell_positions(length, cells, self.align_corners, mask.device)
            for length, cells in zip(mask.shape[-2:], size, strict=True)
        )
        return mask[:, rows[:, None], columns]


def _cell_positions(length: int, cells: int, align_corners: bool, device: torch.device) -> torch.Tensor:
    index = torch.arange(cells, device=device)
    if align_corners:
        return (index * (length - 1) / max(1, cells - 1)).round().long()
    return ((index + 0.5) * length / cells).long()


def enet_weights(counts: torch.Tensor, constant: float = 1.02) -> torch.Tensor:
    """Return ``[C]`` weights ``1 / ln(constant + share)``.

    ENet, Paszke, Chaurasia, Kim, Culurciello 2016, section 5.2.

    Args:
        counts: ``[C]`` pixels per class.
        constant: Larger is milder; 1.02 bounds the weights to 1.4 .. 50.
    """
    share = counts.double() / counts.sum().clamp(min=1)
    return (1 / (constant + share).log()).float()


def median_frequency_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return ``[C]`` weights ``median(share) / share``; classes without a pixel get 0.

    Eigen and Fergus, ICCV 2015, section 6.3.2, with the share taken over all pixels.

    Args:
        counts: ``[C]`` pixels per class.
    """
    share = counts.double() / counts.sum().clamp(min=1)
    present = share > 0
    # torch.median takes the lower middle value; the mean of both middles is what the paper's tables show.
    median = share[present].quantile(0.5) if bool(present.any()) else share.new_tensor(1.0)
    return torch.where(present, median / share.clamp(min=1e-12), share.new_zeros(())).float()
