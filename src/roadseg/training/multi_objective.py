"""Training on several data sets as a problem of several objectives (MGDA).

Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018: the point of least length in the
convex hull of the objectives' gradients is a direction in which none of them grows; where it is zero, none can be lowered
without raising another. MSeg (Lambert et al. 2020) takes its data sets as objectives, with gradients of unit length.

A step costs one forward pass, one backward pass for each data set in the batch, and as many copies of all gradients in
memory; between processes, all of these are summed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from roadseg.data import Sample
from roadseg.errors import RecipeError
from roadseg.losses import OutputLoss
from roadseg.models import Output
from roadseg.recipes import Engine
from roadseg.training.distributed import World

__all__ = ["MinNormGradients", "check_engine", "min_norm_weights"]

ITERATIONS = 1000
"""Far more than are needed: each is a few operations on as many numbers as there are data sets."""


def min_norm_weights(gram: NDArray[np.floating[Any]], tolerance: float = 1e-9) -> NDArray[np.float64]:
    """Return the weights of the shortest convex combination of some vectors (Sener and Koltun 2018, algorithm 2).

    Frank-Wolfe in pairwise steps (Lacoste-Julien and Jaggi 2015), which converge where plain ones zigzag: from equal
    weights on, each step takes weight from the vector that lies farthest along the combination and gives it to the one
    that lies least so, as long as the combination becomes shorter.

    Args:
        gram: ``[N, N]`` inner products of the vectors.
        tolerance: It ends where half of the squared length is at most this much above the least possible, as a part of
            the longest vector's.

    Returns:
        ``[N]``, each at least zero, their sum one; NaN where a product is no finite number.
    """
    products = np.asarray(gram, np.float64)
    if not np.isfinite(products).all():
        return np.full(len(products), np.nan)
    weights: NDArray[np.float64] = np.full(len(products), 1 / len(products))
    enough = tolerance * float(products.diagonal().max())
    for _ in range(ITERATIONS):
        along = products @ weights
        least = int(along.argmin())
        if float(weights @ along) - along[least] <= enough:  # bounds what is left to gain
            break
        most = int(np.where(weights > 0, along, -np.inf).argmax())
        apart = products[most, most] - 2 * products[most, least] + products[least, least]
        moved = min(float(weights[most]), float(along[most] - along[least]) / float(apart))
        weights[most] -= moved
        weights[least] += moved
    weights /= weights.sum()
    return weights


def check_engine(engine: Engine) -> None:
    """Refuse what cannot work with gradients of several objectives.

    Raises:
        RecipeError: Parameters are sharded, gradients compressed, or the network is compiled.
    """
    wishes = {
        "sharding": engine.sharding != "none",
        "compress": engine.compress != "none",
        "compile": engine.compile,
    }
    if asked := [name for name, wanted in wishes.items() if wanted]:
        raise RecipeError(
            f"several objectives need whole gradients, one after the other, which engine.{asked[0]} does not leave",
            remedy=f"leave out --engine.{asked[0]}, or set --objectives sum",
        )


class MinNormGradients:
    """Computes one step's gradients: those of all data sets, weighted so that their combination is the shortest.

    Weights are found for gradients of unit length, as MSeg does, or the data set with the smallest gradient would take
    it all, and used on the gradients as they are. A data set without a gradient, because a batch has no labeled pixel of
    it, is left out of the step.

    Args:
        names: The objectives.
        model: The network.
        loss: Of each data set's samples, as if they were all.
        world: The processes.
    """

    def __init__(self, names: Sequence[str], model: nn.Module, loss: OutputLoss, world: World) -> None:
        self.names = tuple(names)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.loss = loss
        self.world = world
        self.steps = 0
        self.total = np.zeros(len(self.names))

    def backward(
        self,
        forward: Callable[[torch.Tensor], Output],
        parts: Sequence[Sample],
        origins: Sequence[torch.Tensor],
        scale: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """Set the gradients of all parameters.

        Args:
            forward: The network, of a micro-batch's images; it must not exchange gradients between processes.
            parts: Micro-batches of this process.
            origins: For each, ``[B]``: the objective of every sample.
            scale: What a loss is multiplied by against underflow.

        Returns:
            The weighted sum of the losses of all objectives, over all processes.
        """
        normalizers = self.world.sum(self._normalizers(parts, origins)).clamp(min=1e-12)
        gradients = [[torch.zeros_like(each) for each in self.parameters] for _ in self.names]
        reached = [False] * len(self.parameters)
        values = torch.zeros(len(self.names), device=self.world.device)
        for part, origin in zip(parts, origins, strict=True):
            output = forward(part.image)
            *others, last = _present(origin)
            for index in (*others, last):
                chosen = (origin == index).nonzero()[:, 0].to(part.mask.device)
                aux = tuple(each[chosen] for each in output.aux)
                sums = self.loss.sums(output.logits[chosen], part.mask[chosen], aux)
                value = (sums / normalizers[index]).sum()
                values[index] += value.detach()
                found = torch.autograd.grad(
                    scale(value), self.parameters, retain_graph=index != last, allow_unused=True
                )
                for number, gradient in enumerate(found):
                    if gradient is not None:
                        gradients[index][number] += gradient
                        reached[number] = True
        weights = self._combine([self._summed(each) for each in gradients], reached)
        return (self.world.sum(values) * weights).sum()

    def mean_weights(self) -> dict[str, float]:
        """Return the objectives' mean weights since the last call; empty if there was no step."""
        if not self.steps:
            return {}
        means = (self.total / self.steps).tolist()
        self.steps, self.total = 0, np.zeros(len(self.names))
        return {name: round(mean, 4) for name, mean in zip(self.names, means, strict=True)}

    def _normalizers(self, parts: Sequence[Sample], origins: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return ``[N, T]``: what the terms of each objective's loss are divided by."""
        total = torch.stack([torch.zeros_like(self.loss.normalizers(parts[0].mask))] * len(self.names))
        for part, origin in zip(parts, origins, strict=True):
            for index in _present(origin):
                total[index] += self.loss.normalizers(part.mask[(origin == index).to(part.mask.device)])
        return total

    def _summed(self, gradients: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return an objective's gradients summed over the processes, exchanged as one."""
        if self.world.size == 1:
            return gradients
        flat = self.world.sum(torch.cat([each.flatten() for each in gradients]))
        pieces = torch.split(flat, [each.numel() for each in gradients])
        return [piece.view_as(each) for piece, each in zip(pieces, gradients, strict=True)]

    def _combine(self, gradients: list[list[torch.Tensor]], reached: Sequence[bool]) -> torch.Tensor:
        """Set the gradients of the parameters that the loss depends on; return the objectives' weights, ``[N]``."""
        gram = torch.stack([torch.stack([_product(one, other) for other in gradients]) for one in gradients])
        products = gram.cpu().numpy()
        lengths = np.sqrt(products.diagonal())
        used = np.flatnonzero(lengths)
        weights = np.zeros(len(self.names))
        if len(used):
            unit = (products / np.outer(lengths, lengths).clip(min=np.finfo(np.float64).tiny))[
                np.ix_(used, used)
            ]
            weights[used] = min_norm_weights(unit)
        for number, parameter in enumerate(self.parameters):
            terms = (float(weights[index]) * gradients[index][number] for index in used)
            parameter.grad = sum(terms, torch.zeros_like(parameter)) if reached[number] else None
        if np.isfinite(weights).all():
            self.steps += 1
            self.total += weights
        else:  # overflow, and a gradient scaler will pass over the step: its loss is worth knowing all the same
            weights = np.full(len(self.names), 1 / len(self.names))
        return torch.from_numpy(weights).to(gram.device, torch.float32)


def _present(origin: torch.Tensor) -> list[int]:
    return sorted(set(origin.tolist()))


def _product(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> torch.Tensor:
    products = [torch.sum(a.double() * b.double()) for a, b in zip(one, other, strict=True)]
    return torch.stack(products).sum()
