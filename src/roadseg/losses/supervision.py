"""What a network puts out against what is true: resolutions, precision and auxiliary outputs."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.losses.boundary import BoundaryLoss
from roadseg.losses.criterion import Criterion
from roadseg.losses.cross_entropy import CrossEntropyLoss

__all__ = ["OutputLoss"]


class OutputLoss(nn.Module):
    """The loss of a network's logits and auxiliary logits, at any stride and precision.

    Criteria get float32 logits of the mask's size, outside autocast: a softmax over bfloat16 logits loses small
    gradients. The logits are upsampled to the mask, as the network's ``align_corners`` says. Auxiliary logits only
    guide the training, so they may be compared with the mask at their own cells instead: upsampling two of them can
    cost as much as a small network's whole forward and backward pass.

    The terms are those of ``main``, then those of ``aux``. Sums over the pixels of cells are scaled to the mask's
    pixels, so that the normalizers of the mask serve outputs of all resolutions.

    Args:
        main: Loss of the logits.
        aux: Loss of the auxiliary logits; None for plain cross entropy.
        aux_weights: Weight of each auxiliary output, in order; the last one is repeated. Weight 0 compares nothing.
        aux_at: ``cells`` compares each cell with the label of the pixel at its center; ``image`` upsamples.
        align_corners: How the network's outputs are upsampled.

    Raises:
        RecipeError: Boundaries are to be compared at cells.
    """

    def __init__(
        self,
        main: Criterion,
        *,
        aux: Criterion | None = None,
        aux_weights: Sequence[float] = (0.4,),
        aux_at: Literal["cells", "image"] = "cells",
        align_corners: bool,
    ) -> None:
        super().__init__()
        if isinstance(aux, BoundaryLoss) and aux_at == "cells":
            raise RecipeError(
                "boundaries are some pixels wide, which the cells of an auxiliary output are too coarse for",
                where="auxiliary.at",
                remedy='set it to "image"',
            )
        self.main = main
        self.aux = CrossEntropyLoss(main.ignore) if aux is None else aux
        self.aux_weights = tuple(aux_weights) or (0.0,)
        self.aux_at = aux_at
        self.align_corners = align_corners

    def sums(
        self, logits: torch.Tensor, mask: torch.Tensor, aux: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Return the ``[T]`` undivided terms.

        Args:
            logits: ``[B, C, h, w]`` at any stride.
            mask: ``[B, H, W]`` class ids, or the criteria's ``ignore``.
            aux: Further logits of the same kind.
        """
        with torch.autocast(logits.device.type, enabled=False):
            main = self.main.upsampled_sums(logits.float(), mask, align_corners=self.align_corners)
            guides = main.new_zeros(len(self.aux.per))
            for index, extra in enumerate(aux):
                weight = self.aux_weights[min(index, len(self.aux_weights) - 1)]
                # DistributedDataParallel waits for a gradient of every parameter: of weight 0, it is a sum of nothing.
                guide = self._guide(extra, mask) if weight else extra[:0].float().sum()
                guides = guides + weight * guide
            return torch.cat([main, guides])

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[T]`` normalizers of a mask's terms."""
        return torch.cat([self.main.normalizers(mask), self.aux.normalizers(mask)])

    def start_epoch(self, epoch: int) -> None:
        """Tell the criteria which epoch follows, counted from 0."""
        self.main.start_epoch(epoch)
        self.aux.start_epoch(epoch)

    def forward(
        self, logits: torch.Tensor, mask: torch.Tensor, aux: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Return the scalar loss; arguments as for `sums`."""
        return (self.sums(logits, mask, aux) / self.normalizers(mask).clamp(min=1e-12)).sum()

    def _guide(self, extra: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.aux_at == "image":
            return self.aux.upsampled_sums(extra.float(), mask, align_corners=self.align_corners)
        cells = _at_cells(mask, (extra.shape[-2], extra.shape[-1]), self.align_corners)
        sums = self.aux.sums(extra.float(), cells)
        pixels = mask.numel() / cells.numel()
        return sums * sums.new_tensor([pixels if unit == "pixel" else 1.0 for unit in self.aux.per])


def _at_cells(mask: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    """Return the mask's ids ``[B, h, w]`` at the pixels where the cells of low-resolution logits lie."""
    rows, columns = (
        _positions(length, cells, align_corners, mask.device)
        for length, cells in zip(mask.shape[-2:], size, strict=True)
    )
    return mask[:, rows[:, None], columns]


def _positions(length: int, cells: int, align_corners: bool, device: torch.device) -> torch.Tensor:
    index = torch.arange(cells, device=device)
    if align_corners:
        return (index * (length - 1) / max(1, cells - 1)).round().long()
    return ((index + 0.5) * length / cells).long()
