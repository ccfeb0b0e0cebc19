"""The parts of a recipe: frozen values that say how a network is trained, without doing anything themselves.

A `Recipe` is complete: nothing is read from elsewhere. Alternatives (optimizers, schedules, losses) are unions of
small dataclasses; ``roadseg.training.build`` turns each into an object with one ``match``. Standard library only.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "SGD",
    "AdamW",
    "Augment",
    "Cosine",
    "CrossEntropy",
    "Data",
    "Expectation",
    "Model",
    "Optimizer",
    "Poly",
    "Preprocess",
    "Recipe",
    "Schedule",
    "Synthetic",
    "scaled",
]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How stored pixels become the network's input: ``x = (pixel - mean) / std * scale``.

    Attributes:
        order: Channel order that the network expects; images are RGB until here.
        mean: Per channel, in that order, on the 0..255 scale.
        std: Per channel, in that order, on the 0..255 scale.
        scale: Factor applied last (the published ESPNet weights divide by 255 after normalizing).
        size: Height and width the image is resized to before the network; None keeps the image's own size.
        short_side: Length that the image's shorter side is resized to before the network, its shape kept; ``size``
            goes before. Results always have the image's own size.
    """

    order: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    scale: float = 1.0
    size: tuple[int, int] | None = None
    short_side: int | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which network to build.

    Attributes:
        name: A name of the model catalog, or ``package.module:callable``.
        options: Keyword arguments of its factory; see ``roadseg models NAME``.
        weights: A checkpoint to start from; None starts from scratch.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Procedural street scenes mixed into the training set.

    Attributes:
        root: Folder of a rendered data set of the same label space (``roadseg data synth``).
        share: Part of every epoch's samples that is drawn from it, 0..1.
        until: Part of the training after which only real images are used, 0..1.
    """

    root: str
    share: float = 0.25
    until: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images to train on and to validate on.

    Attributes:
        root: Folder or ``data.yaml``; ``NAME:PATH`` forces a layout. Usually given on the command line.
        train: Split to train on; ``train+val`` joins two.
        val: Split to validate on; empty for no validation.
        synthetic: Rendered scenes to mix in.
    """

    root: str = ""
    train: str = "train"
    val: str = "val"
    synthetic: Synthetic | None = None


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Per-pixel cross entropy, averaged over the pixels that have a truth.

    Attributes:
        class_weights: ``none``; ``enet`` for 1/ln(c + share) as in ENet (Paszke et al. 2016, section 5.2); ``median``
            for median-frequency balancing (Eigen and Fergus 2015). Shares are counted on the training labels.
        enet_constant: The c of ``enet``: 1.02 in the paper; larger is milder.
        label_smoothing: Mass spread over all classes, 0..1.
        aux_weights: Weight of each auxiliary output, in order; the last one is repeated.
    """

    class_weights: Literal["none", "enet", "median"] = "none"
    enet_constant: float = 1.02
    label_smoothing: float = 0.0
    aux_weights: tuple[float, ...] = (0.4,)


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Attributes:
        lr: Peak learning rate at the recipe's batch size.
        momentum: Momentum.
        weight_decay: L2 penalty.
        decay_all: False leaves out biases, normalization and depthwise filters, as Fast-SCNN does.
    """

    lr: float
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_all: bool = True


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam; with ``decoupled`` its weight decay is AdamW's, without it is Adam's L2 penalty.

    Attributes:
        lr: Peak learning rate at the recipe's batch size.
        betas: Decay rates of the moments.
        weight_decay: Weight decay.
        decoupled: AdamW (True) or Adam (False).
        decay_all: False leaves out biases, normalization and depthwise filters.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    decoupled: bool = True
    decay_all: bool = False


Optimizer = SGD | AdamW


@dataclass(frozen=True, kw_only=True)
class Poly:
    """``lr * (1 - step/steps) ** power``, after a linear warm-up.

    Attributes:
        power: Exponent.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
    """

    power: float = 0.9
    warmup: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from ``lr`` to ``final * lr``, after a linear warm-up.

    Attributes:
        final: Last rate as a part of the peak.
        warmup: Part of all steps, 0..1, in which the rate grows linearly from zero.
    """

    final: float = 0.0
    warmup: float = 0.0


Schedule = Poly | Cosine


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to training samples, image and mask jointly.

    Attributes:
        crop: Height and width of the training crop.
        scale: Range of the random zoom, drawn log-uniformly.
        flip: Probability of a horizontal flip.
        brightness: Range 1 +- value of the brightness factor; likewise contrast and saturation.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        hue: Range +- value of the hue shift, in turns (at most 0.5).
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a run of the recipe should score, and where that is known from.

    Attributes:
        metric: For example ``mIoU``.
        split: Split and resolution the score belongs to.
        published: The paper's figure, in percent, or None.
        ours: Our own measured figure, in percent, or None.
        hardware: What ours was measured on.
        hours: Wall time of ours.
        command: The command that reproduces ours.
    """

    metric: str = "mIoU"
    split: str = "val"
    published: float | None = None
    ours: float | None = None
    hardware: str | None = None
    hours: float | None = None
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A complete plan of one training run.

    Attributes:
        name: ``model.dataset``.
        paper: Where the plan comes from.
        model: The network.
        data: The images.
        preprocess: Normalization, done on the device.
        augment: Random changes to training samples.
        loss: What is minimized.
        optim: Optimizer.
        schedule: Learning-rate schedule, per step.
        epochs: Passes over the training set.
        batch_size: Samples per optimizer step, over all processes.
        accumulate: Parts a step is split into when the batch does not fit in memory.
        clip_norm: Largest allowed gradient norm; None for no limit.
        ema: Decay of the moving average of the weights that is validated and saved; 0 for none.
        precision: ``auto`` takes bfloat16 or float16 autocast where the device gains from it.
        eval_every: Epochs between validations.
        select_best: Keep the weights of the best validation. False keeps the last ones: where the validation split is
            the one that the final score is reported on, it may be watched but not selected on.
        seed: Seed of everything random.
        workers: Loader processes; -1 chooses by the machine.
        expects: Published and measured scores.
    """

    name: str
    paper: str
    model: Model
    data: Data = Data()
    preprocess: Preprocess = Preprocess()
    augment: Augment
    loss: CrossEntropy = CrossEntropy()
    optim: Optimizer
    schedule: Schedule = Poly()
    epochs: int
    batch_size: int
    accumulate: int = 1
    clip_norm: float | None = None
    ema: float = 0.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    eval_every: int = 1
    select_best: bool = True
    seed: int = 0
    workers: int = -1
    expects: tuple[Expectation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values; every union member names its class under ``kind``."""
        plain = _plain(self)
        if not isinstance(plain, dict):  # pragma: no cover - a dataclass always becomes a dict
            raise TypeError(type(plain))
        return plain


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is untyped by nature
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def scaled(recipe: Recipe, batch_size: int) -> Recipe:
    """Return the recipe for another batch size, its learning rate scaled linearly (Goyal et al. 2017)."""
    optim = dataclasses.replace(recipe.optim, lr=recipe.optim.lr * batch_size / recipe.batch_size)
    return dataclasses.replace(recipe, batch_size=batch_size, optim=optim)
