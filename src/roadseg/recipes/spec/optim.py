"""How a recipe's parameters move: optimizers and learning-rate schedules."""

from dataclasses import dataclass
from typing import Literal

from roadseg.recipes.spec.check import above, at_least, below_one, refuse, within_one

__all__ = [
    "SGD",
    "AdamW",
    "Cosine",
    "Milestones",
    "Optimizer",
    "Poly",
    "RAdam",
    "RescaledPoly",
    "Schedule",
    "Step",
]


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Attributes:
        lr: Peak learning rate at the recipe's batch size.
        momentum: Momentum.
        nesterov: Nesterov's form of it.
        weight_decay: L2 penalty.
        decay_all: False leaves out biases, normalization and depthwise filters, as Fast-SCNN does.
        trunk_lr: Factor on the rate of the trunk (``model.backbone``).
        trunk_weight_decay: Factor on the weight decay of the trunk.
    """

    lr: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_all: bool = True
    trunk_lr: float = 1.0
    trunk_weight_decay: float = 1.0

    def __post_init__(self) -> None:
        above(0, self, "lr")
        below_one(self, "momentum")
        at_least(0, self, "weight_decay")
        if self.nesterov and not self.momentum:
            raise refuse(self, "nesterov", "needs momentum", "give a momentum, or leave nesterov out")


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam; with ``decoupled`` its weight decay is AdamW's, without it is Adam's L2 penalty.

    Attributes:
        lr: Peak learning rate at the recipe's batch size.
        betas: Decay rates of the moments.
        amsgrad: Keep the largest second moment.
        weight_decay: Weight decay.
        decoupled: AdamW (True) or Adam (False).
        decay_all: False leaves out biases, normalization and depthwise filters.
        trunk_lr: Factor on the rate of the trunk (``model.backbone``).
        trunk_weight_decay: Factor on the weight decay of the trunk.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    amsgrad: bool = False
    weight_decay: float = 1e-2
    decoupled: bool = True
    decay_all: bool = False
    trunk_lr: float = 1.0
    trunk_weight_decay: float = 1.0

    def __post_init__(self) -> None:
        above(0, self, "lr")
        below_one(self, "betas")
        at_least(0, self, "weight_decay")


@dataclass(frozen=True, kw_only=True)
class RAdam:
    """Rectified Adam (Liu et al., ICLR 2020), which needs no warm-up.

    Attributes:
        lr: Peak learning rate at the recipe's batch size.
        betas: Decay rates of the moments.
        weight_decay: Weight decay.
        decoupled: As AdamW's (True) or as an L2 penalty (False).
        decay_all: False leaves out biases, normalization and depthwise filters.
        trunk_lr: Factor on the rate of the trunk (``model.backbone``).
        trunk_weight_decay: Factor on the weight decay of the trunk.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    decoupled: bool = False
    decay_all: bool = True
    trunk_lr: float = 1.0
    trunk_weight_decay: float = 1.0

    def __post_init__(self) -> None:
        above(0, self, "lr")
        below_one(self, "betas")
        at_least(0, self, "weight_decay")


Optimizer = SGD | AdamW | RAdam


@dataclass(frozen=True, kw_only=True)
class Poly:
    """``lr * (1 - progress) ** power``, after a linear warm-up.

    Attributes:
        power: Exponent.
        double_from: Epoch from which the exponent is twice as large; None for never.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
        per: Whether the rate changes with every step or every epoch.
    """

    power: float = 0.9
    double_from: int | None = None
    warmup: float = 0.0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        within_one(self, "warmup")


@dataclass(frozen=True, kw_only=True)
class RescaledPoly:
    """``lr * (1 - e/E) ** power`` up to epoch ``restart``, then ``lr * rescale * (1 - (e-R)/(E-R)) ** power_after``.

    The rate starts anew where boundary label relaxation ends (Zhu et al., CVPR 2019, published recipes). It changes
    with the epoch.

    Attributes:
        power: Exponent up to the restart.
        restart: Epoch of the restart.
        rescale: Rate after it, as a part of the peak.
        power_after: Exponent after it.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
    """

    power: float = 1.0
    restart: int = 100
    rescale: float = 1.0
    power_after: float = 1.5
    warmup: float = 0.0

    def __post_init__(self) -> None:
        within_one(self, "warmup")


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from ``lr`` to ``final * lr``, after a linear warm-up.

    Attributes:
        final: Last rate as a part of the peak.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
        per: Whether the rate changes with every step or every epoch.
    """

    final: float = 0.0
    warmup: float = 0.0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        within_one(self, "warmup")


@dataclass(frozen=True, kw_only=True)
class Step:
    """``lr * factor ** (epoch // every)``, after a linear warm-up.

    Attributes:
        every: Epochs between two changes.
        factor: What the rate is multiplied by.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
    """

    every: int
    factor: float = 0.5
    warmup: float = 0.0

    def __post_init__(self) -> None:
        at_least(1, self, "every")
        within_one(self, "warmup")


@dataclass(frozen=True, kw_only=True)
class Milestones:
    """``lr``, multiplied by ``factor`` at each of some epochs, after a linear warm-up.

    Attributes:
        epochs: Epochs, counted from 0, from which the rate is lower.
        factor: What the rate is multiplied by.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
    """

    epochs: tuple[int, ...]
    factor: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        within_one(self, "warmup")


Schedule = Poly | RescaledPoly | Cosine | Step | Milestones
