"""Where classes meet, as a decision of its own for every class."""

import torch
import torch.nn.functional as F

from roadseg.losses.criterion import Criterion

__all__ = ["BoundaryLoss", "boundaries"]


class BoundaryLoss(Criterion):
    """Binary cross entropy of each class's boundaries, for networks with an output of them.

    MSFNet (Si et al. 2019, section 3.3) supervises a second decoder so; width and balance are not published.

    A boundary is a thin line: with all pixels alike, "nowhere" would be a good answer for every class. So the loss is
    the mean of two means that weigh the same, as in HED (Xie and Tu, ICCV 2015, equation 2): one over the boundary
    pixels, of the classes that meet there; one over all pixels, of the classes that do not, averaged over classes.
    Both are divided by counts known from the mask, which a weight made from the batch's own balance would not be.

    The width is one in pixels, so logits of lower resolution have to be brought to the mask's size.

    Args:
        ignore: The mask id that means "no truth here".
        width: Thickness of the true boundaries, in pixels.
    """

    per = ("pixel", "pixel")

    def __init__(self, ignore: int, *, width: int = 3) -> None:
        super().__init__(ignore)
        self.width = width

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]`` sums: over boundary pixels, and over the others.

        Args:
            logits: ``[B, C, H, W]``, each class a decision of its own.
            mask: ``[B, H, W]`` class ids, or ``ignore``.
        """
        classes = logits.shape[1]
        truth, known = boundaries(mask, classes, self.ignore, self.width)
        loss = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none")
        elsewhere = known[:, None] & ~truth
        return torch.stack([(loss * truth).sum(), (loss * elsewhere).sum() / classes]) / 2

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]``: the pixels on boundaries, and all whose neighborhoods are known."""
        edge, known = _edges(mask, self.ignore, self.width)
        return torch.stack([edge.sum(), known.sum()]).float()


def boundaries(
    mask: torch.Tensor, classes: int, ignore: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the boundaries of classes are, and where that is known.

    A class's boundary is a band along its regions' outlines, half of it inside (the larger half, of odd widths): its
    dilation minus its erosion. Pixels near ignored ones are not known to be boundaries or not. The image's own
    border is none.

    Args:
        mask: ``[B, H, W]`` class ids, or ``ignore``.
        classes: How many classes there are.
        ignore: The mask id that means "no truth here".
        width: Thickness of the band, in pixels.

    Returns:
        bool ``[B, C, H, W]`` and ``[B, H, W]``.
    """
    edge, known = _edges(mask, ignore, width)
    ids = mask.long().masked_fill(mask == ignore, 0)  # which no known pixel is near
    near = torch.zeros(len(mask), classes, *mask.shape[1:], dtype=torch.bool, device=mask.device)
    # Each class that occurs in a pixel's surroundings is noted there: a dilation of all classes at once.
    outside = width // 2
    steps = range(-outside, outside + 1)
    rows, columns = (torch.arange(length, device=mask.device) for length in mask.shape[1:])
    for down in steps:
        beside = ids[:, (rows + down).clamp(0, len(rows) - 1)]
        for right in steps:
            near.scatter_(1, beside[:, None, :, (columns + right).clamp(0, len(columns) - 1)], True)
    return near & edge[:, None], known


def _edges(mask: torch.Tensor, ignore: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``[B, H, W]``: where another class is near, and where all pixels near have a truth."""
    inside = width - width // 2
    ids = mask.float()[:, None]
    known = _largest((mask == ignore).float()[:, None], inside)[:, 0] == 0
    differ = (_largest(ids, inside) != -_largest(-ids, inside))[:, 0]
    return differ & known, known


def _largest(values: torch.Tensor, radius: int) -> torch.Tensor:
    side = 2 * radius + 1
    return F.max_pool2d(values, side, stride=1, padding=radius)
