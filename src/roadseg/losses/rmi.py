"""Region mutual information: neighboring pixels are judged together, not one by one."""

import math
from collections.abc import Iterator
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from roadseg.errors import RecipeError
from roadseg.losses.criterion import Criterion

__all__ = ["BinaryCrossEntropyLoss", "RMILoss"]

Pool = Literal["average", "max", "interpolate"]

RIDGE = 5e-4  # added to the diagonal of covariances, as published
FLOOR = 1e-6  # added to probabilities, as published; the zeros around the padded image make it matter
_AT_ONCE = (
    2**20
)  # logits looked at together: few enough to stay in a processor's cache, many enough for a GPU
_REGIONS_AT_ONCE = 2**21  # float64 values of regions written out together, 16 MiB


class BinaryCrossEntropyLoss(Criterion):
    """Sigmoid cross entropy of every class against the rest, summed over classes, averaged over the valid pixels.

    The normalizer is one more than the valid pixels, as in the published code of `RMILoss`.
    """

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[1]`` sum over the valid pixels of ``[B, C, H, W]`` logits."""
        with torch.autocast(logits.device.type, enabled=False):
            return _terms(logits, mask, self.ignore, None)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[1]``: the valid pixels and one."""
        return (mask != self.ignore).sum().float()[None] + 1


class RMILoss(Criterion):
    """Region mutual information with binary cross entropy (Zhao, Wang, Yang, Cai, NeurIPS 2019).

    Sigmoid probabilities and one-hot truths are made smaller by ``stride``. Each class then has two maps, whose square
    regions are vectors: what the guessed vectors leave unexplained of the true ones is a covariance matrix, and the
    loss is half its log determinant (equations 10 to 14), per value of the region, summed over classes, averaged over
    images. Negative values are normal.

    Covariances are computed in float64: where guesses explain the truth well, the rest is a small difference of large
    numbers, and float32 puts the value off by a fifth and the gradient by four fifths of its maximum (sure and right
    guesses at 256 x 512). All else is float32, which costs the gradient 2e-4 there, as in a direct formulation.

    Args:
        ignore: The mask id that means "no truth here".
        share: Part of the region term in the sum, 0..1; the rest is binary cross entropy.
        radius: Side of the square regions, in cells.
        stride: Factor that maps are made smaller by before regions are taken.
        pool: How they are made smaller. ``interpolate`` samples guesses bilinearly, corners on corners, and truths at
            the nearest pixel.
    """

    per = ("pixel", "image")

    def __init__(
        self, ignore: int, *, share: float = 0.5, radius: int = 3, stride: int = 4, pool: Pool = "average"
    ) -> None:
        super().__init__(ignore)
        self.share = share
        self.regions = _Regions(radius, stride, pool)

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]``: binary cross entropy over pixels, region term over images, each with its share."""
        with torch.autocast(logits.device.type, enabled=False):
            terms = _terms(logits, mask, self.ignore, self.regions)
            return terms * terms.new_tensor([1 - self.share, self.share])

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[2]``: the valid pixels and one; the images."""
        valid = (mask != self.ignore).sum().float()
        return torch.stack([valid + 1, torch.full_like(valid, mask.shape[0])])


class _Regions:
    """The region term: how maps are made smaller, and what regions of guesses say about regions of truths."""

    def __init__(self, radius: int, stride: int, pool: Pool) -> None:
        self.radius, self.stride, self.pool = radius, stride, pool

    def shrink(self, maps: torch.Tensor) -> torch.Tensor:
        """Return guesses ``[B, C, h, w]`` of ``[B, C, H, W]``."""
        if self.pool == "interpolate":
            size = [side // self.stride for side in maps.shape[-2:]]
            return F.interpolate(maps, size, mode="bilinear", align_corners=True)
        pooled = F.avg_pool2d if self.pool == "average" else F.max_pool2d
        return pooled(maps, self.stride, self.stride, self.stride // 2)

    def truths(self, mask: torch.Tensor, ignore: int, classes: int) -> torch.Tensor:
        """Return truths ``[B, C, h, w]`` of a ``[B, H, W]`` mask, without a map per class at its size."""
        if self.pool == "interpolate":
            rows, columns = (side // self.stride for side in mask.shape[-2:])
            nearest = F.interpolate(mask[:, None].float(), (rows, columns), mode="nearest")[:, 0]
            ids = torch.arange(classes, device=mask.device)
            return ((nearest[:, None] == ids[:, None, None]) & (nearest != ignore)[:, None]).float()
        counts = self._counts(mask, ignore, classes)
        return counts / self.stride**2 if self.pool == "average" else counts.clamp(max=1)

    def _counts(self, mask: torch.Tensor, ignore: int, classes: int) -> torch.Tensor:
        """Return ``[B, C, h, w]``: how many pixels of each class lie in each cell."""
        batch, height, width = mask.shape
        pad, stride = self.stride // 2, self.stride
        rows, columns = ((side + 2 * pad - stride) // stride + 1 for side in (height, width))
        mask = mask[:, : rows * stride - pad, : columns * stride - pad]  # the pixels that pooling drops
        row, column = (
            (torch.arange(side, dtype=torch.int32, device=mask.device) + pad) // stride
            for side in mask.shape[-2:]
        )
        image = torch.arange(batch, dtype=torch.int32, device=mask.device)
        first = image[:, None, None] * classes * rows * columns + row[:, None] * columns + column
        slot = torch.where(
            mask != ignore, mask.int() * (rows * columns) + first, batch * classes * rows * columns
        )
        counts = torch.bincount(slot.flatten(), minlength=batch * classes * rows * columns + 1)
        return counts[:-1].view(batch, classes, rows, columns).float()

    def information(
        self, truths: torch.Tensor, guesses: torch.Tensor, gradient: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scalar sum over images and classes, and its gradient for the guesses.

        Args:
            truths: ``[B, C, h, w]``.
            guesses: ``[B, C, h, w]``.
            gradient: Whether it is wanted; otherwise zeros.

        Raises:
            RecipeError: No region fits in the maps.
        """
        if min(guesses.shape[-2:]) < self.radius:
            raise RecipeError(
                f"no region of {self.radius} x {self.radius} cells of {self.stride} pixels fits in the image",
                where="RMI",
                remedy="take a larger crop, or a smaller radius or stride",
            )
        # Truths that are zero everywhere leave the ridge alone: a constant, whatever the guesses are.
        present = truths.flatten(2).any(-1)
        total = (~present).sum().to(guesses.dtype) * (math.log(RIDGE) / 2)
        slope = torch.zeros_like(guesses)
        cells = guesses.shape[-2] * guesses.shape[-1]
        at_once = max(1, _REGIONS_AT_ONCE // (2 * self.radius**2 * cells))
        for index in torch.split(present.nonzero(), at_once):
            image, channel = index.unbind(1)
            values, slopes = _unexplained(
                truths[image, channel], guesses[image, channel], self.radius, gradient
            )
            total = total + values.sum()
            if gradient:
                slope[image, channel] = slopes
        return total, slope


def _unexplained(
    truths: torch.Tensor, guesses: torch.Tensor, radius: int, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return half the log determinant of what is unexplained, per value of a region, and its gradient for the guesses.

    With centered regions Y and P as columns, B = (PP' + r)^-1 PY' explains Y by B'P. The rest is A = YY' - YP'B + r,
    and the gradient of log det(A) / 2 for P is B A^-1 (B'P - Y).

    Args:
        truths: ``[N, h, w]``.
        guesses: ``[N, h, w]``.
        radius: Side of a region.
        gradient: Whether it is wanted.

    Returns:
        ``[N]`` and ``[N, h, w]``. Maps whose matrices stay singular give zeros.
    """
    size = radius**2
    regions = _written_out(truths, guesses, radius)
    mean = regions.mean(-1, keepdim=True)
    moments = torch.baddbmm(mean @ mean.mT, regions, regions.mT, beta=-regions.shape[-1])
    yy, py, pp = moments[:, :size, :size], moments[:, size:, :size], moments[:, size:, size:]
    guessed, found = _factor(pp)
    explaining = torch.cholesky_solve(py, guessed)
    rest, also_found = _factor(yy - py.mT @ explaining)
    found = found & also_found
    values = rest.diagonal(dim1=-2, dim2=-1).log().sum(-1).masked_fill(~found, 0) / size
    if not gradient:
        return values.to(guesses), torch.zeros_like(guesses)
    weight = torch.cholesky_solve(explaining.mT, rest).mT / size
    weight = torch.cat([-weight, weight @ explaining.mT], -1).masked_fill(~found[:, None, None], 0)
    slopes = torch.baddbmm(weight @ mean, weight, regions, beta=-1)
    return values.to(guesses), _put_together(slopes, guesses, radius)


def _written_out(truths: torch.Tensor, guesses: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the regions ``[N, 2 * radius^2, positions]`` of two ``[N, h, w]`` maps, truths first, in float64."""
    rows, columns = (side - radius + 1 for side in guesses.shape[-2:])
    regions = guesses.new_empty((len(guesses), 2, radius, radius, rows, columns), dtype=torch.float64)
    for kind, maps in enumerate((truths, guesses)):
        regions[:, kind] = maps.unfold(1, rows, 1).unfold(2, columns, 1)
    return regions.view(len(guesses), 2 * radius**2, rows * columns)


def _put_together(slopes: torch.Tensor, like: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the ``[N, h, w]`` sums over all regions that a cell belongs to, of ``[N, radius^2, positions]``."""
    rows, columns = (side - radius + 1 for side in like.shape[-2:])
    total = torch.zeros_like(like, dtype=slopes.dtype)
    for place in range(radius**2):
        y, x = divmod(place, radius)
        total[:, y : y + rows, x : x + columns] += slopes[:, place].view(-1, rows, columns)
    return total.to(like)


def _factor(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Cholesky factors of ``[N, n, n]`` matrices and their ridge, and ``[N]`` which could be found.

    Where rounding has left a matrix indefinite the ridge grows tenfold, six times at most.
    """
    ridge = RIDGE * torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    times = matrices.new_ones(len(matrices), 1, 1)
    factors, failed = torch.linalg.cholesky_ex(matrices + ridge)
    for _ in range(6):
        if not bool(failed.any()):
            break
        times = torch.where(failed[:, None, None] > 0, 10 * times, times)
        factors, failed = torch.linalg.cholesky_ex(matrices + times * ridge)
    found = (failed == 0) & factors.isfinite().all(-1).all(-1)
    return torch.where(found[:, None, None], factors, ridge), found


def _terms(logits: torch.Tensor, mask: torch.Tensor, ignore: int, regions: _Regions | None) -> torch.Tensor:
    """Return the undivided binary cross entropy ``[1]``, with the region term after it if asked for."""
    return cast(torch.Tensor, _Terms.apply(logits.float(), mask, ignore, regions))


class _Terms(torch.autograd.Function):
    """Both terms over a few classes at a time, with their gradient written out.

    So nothing but the gradient itself is ever as large as the logits: probabilities are computed again on the way back.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - what is saved on it is not typed
        logits: torch.Tensor,
        mask: torch.Tensor,
        ignore: int,
        regions: _Regions | None,
    ) -> torch.Tensor:
        shade = _shade(mask, ignore)
        pooled, softplus = [], []
        for part in _parts(logits):
            scores = logits[:, part] + shade
            softplus.append(_sum(F.softplus(scores)))
            if regions:
                pooled.append(regions.shrink(scores.sigmoid_().add_(FLOOR)))
        true = logits.gather(1, _target(mask, ignore))[:, 0].masked_fill_(mask == ignore, 0)
        terms = [(torch.stack(softplus).sum() - _sum(true)).float()]
        slope = None
        if regions:
            guesses = torch.cat(pooled, 1)
            truths = regions.truths(mask, ignore, logits.shape[1])
            # Apple's GPUs know no float64; the maps are small.
            home = torch.device("cpu") if logits.device.type == "mps" else logits.device
            information, slope = regions.information(
                truths.to(home), guesses.to(home), ctx.needs_input_grad[0]
            )
            terms.append(information.to(logits))
            slope = slope.to(logits)
        ctx.save_for_backward(logits, mask, slope)
        ctx.ignore, ctx.regions = ignore, regions
        return torch.stack(terms)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:  # noqa: ANN401
        logits, mask, slope = ctx.saved_tensors
        shade, target = _shade(mask, ctx.ignore), _target(mask, ctx.ignore)
        gradient = torch.empty_like(logits)
        for part in _parts(logits):
            guess = (logits[:, part] + shade).sigmoid_()
            if slope is None:
                torch.mul(guess, weights[0], out=gradient[:, part])
                continue
            uphill = _unpooled(ctx.regions, guess, slope[:, part] * weights[1])
            uphill.mul_(1 - guess).add_(weights[0])
            torch.mul(guess, uphill, out=gradient[:, part])
        valid = (mask != ctx.ignore)[:, None]
        gradient.scatter_(1, target, gradient.gather(1, target) - weights[0] * valid)
        return gradient, None, None, None


def _unpooled(regions: _Regions, maps: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return the gradient for ``[B, C, H, W]`` maps from that for the shrunken ones."""
    with torch.enable_grad():
        maps = maps.detach().requires_grad_()
        return torch.autograd.grad(regions.shrink(maps), maps, slope)[0]


def _shade(mask: torch.Tensor, ignore: int) -> torch.Tensor:
    """Return ``[B, 1, H, W]``: what makes logits of ignored pixels certain of no class, at no loss and no slope."""
    return torch.zeros_like(mask, dtype=torch.float32).masked_fill_(mask == ignore, -torch.inf)[:, None]


def _target(mask: torch.Tensor, ignore: int) -> torch.Tensor:
    return mask.long().masked_fill(mask == ignore, 0)[:, None]


def _parts(logits: torch.Tensor) -> Iterator[slice]:
    """Yield slices of channels that hold about `_AT_ONCE` logits."""
    batch, classes, height, width = logits.shape
    step = max(1, _AT_ONCE // (batch * height * width))
    for first in range(0, classes, step):
        yield slice(first, first + step)


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Return the sum, over rows in the best precision of the device: sums of large logits nearly cancel."""
    return values.sum(-1).sum(dtype=torch.float32 if values.device.type == "mps" else torch.float64)
