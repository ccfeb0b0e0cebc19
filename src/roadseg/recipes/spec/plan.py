"""The recipe as a whole."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from roadseg.recipes.spec.augment import Augment
from roadseg.recipes.spec.check import above, at_least, below_one, within_one
from roadseg.recipes.spec.losses import Auxiliary, CrossEntropy, Loss
from roadseg.recipes.spec.optim import Optimizer, Poly, Schedule
from roadseg.recipes.spec.sampling import Sampling, Shuffle

__all__ = [
    "AutoLabels",
    "Data",
    "Engine",
    "Expectation",
    "Model",
    "Preprocess",
    "Recipe",
    "Synthetic",
    "plain",
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
        starts_from: What the published run started from, in words, where ``weights`` is not the same.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    starts_from: str = ""


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

    def __post_init__(self) -> None:
        within_one(self, "share", "until")


@dataclass(frozen=True, kw_only=True)
class AutoLabels:
    """Labels that a network made, to be used in place of stored ones (Tao et al. 2020, section 4.4).

    For every image there are ``NAME.png`` with the data set's stored ids and ``NAME_prob.png`` with the network's
    confidence, 0..255, in one folder or below it; NAME is the image file's name, or that of the record's key.

    Attributes:
        root: Their folder.
        split: The split whose images they belong to.
        threshold: Where the confidence is lower, 0..1, the network's label is ignored; or a ``.toml`` file of such numbers
            by class, as `roadseg autolabel` writes it.
        window: Rows and columns ``(top, left, bottom, right)``, the last two excluded, outside which it is ignored; None
            for nowhere.
        merge: Names of classes that a pixel gets where the network or the stored label says so: the stored one counts
            whatever the network says there, however sure it is, and outside the window too.
    """

    root: str
    split: str = "train_extra"
    threshold: float | str = 0.5
    window: tuple[int, int, int, int] | None = None
    merge: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images to train on and to validate on.

    Attributes:
        root: Folder or ``data.yaml``; ``NAME:PATH`` forces a layout. Usually given on the command line.
        train: Split to train on; ``train+val`` joins two.
        val: Split to validate on; empty for no validation.
        synthetic: Rendered scenes to mix in.
        autolabels: Labels that a network made.
        parts: Further data sets, given like ``root``. ``PATH@TRAIN`` or ``PATH@TRAIN@VAL`` names splits of theirs where
            they are called otherwise; ``PATH@TRAIN@`` is not validated on.
        to: Label space that all data sets are translated to: a name, a ``.toml`` file, or ``union`` for all their class
            names; empty keeps that of the first, which the others must have too.
        cache: Folder of decoded images, as `roadseg data cache` makes it, or of several such folders, one for each data
            set; empty to decode files.
        space: Label space that the recipe was written for; for plans without data.
        images: Number of training images that it was written for; likewise.
    """

    root: str = ""
    train: str = "train"
    val: str = "val"
    synthetic: Synthetic | None = None
    autolabels: AutoLabels | None = None
    parts: tuple[str, ...] = ()
    to: str = ""
    cache: str = ""
    space: str = ""
    images: int = 0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How the machine computes a recipe; none of it is meant to change what is learned.

    Attributes:
        channels_last: Keep maps with their channels innermost, which convolutions prefer.
        checkpointing: Compute activations again in the backward pass instead of keeping them.
        compile: Let torch.compile fuse the network first.
        sync_norm: Normalize over the batches of all GPUs.
        sharding: ``fsdp`` divides parameters, gradients and moments over the GPUs.
        compress: Exchange gradients between processes in this precision.
    """

    channels_last: bool = True
    checkpointing: bool = False
    compile: bool = False
    sync_norm: bool = True
    sharding: Literal["none", "fsdp"] = "none"
    compress: Literal["none", "float16", "bfloat16"] = "none"


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
        sampling: Which samples make up an epoch.
        loss: What is minimized.
        aux: How auxiliary outputs are supervised.
        optim: Optimizer.
        schedule: Learning-rate schedule.
        objectives: With several data sets, ``sum`` minimizes one loss over all images; ``mgda`` looks in every step for the
            weights of the data sets' losses that lower them all (Sener and Koltun 2018), for the price of a backward
            pass and a copy of all gradients for each data set.
        freeze: Parameters whose names start with one of these keep their values; ``backbone`` is the trunk.
        freeze_norm: Normalization keeps its running statistics and parameters.
        epochs: Passes over the training set.
        steps: Optimizer steps; None for as many as the epochs have.
        batch_size: Samples per optimizer step, over all processes.
        devices: GPUs that the recipe was written for.
        on_fewer: What happens on fewer: ``scale`` keeps the samples per GPU and lowers the learning rate in proportion;
            ``accumulate`` keeps batch and rate, and sums gradients over several passes; ``keep`` changes nothing.
        accumulate: Parts a step is split into when the batch does not fit in memory.
        clip_norm: Largest allowed gradient norm; None for no limit.
        ema: Decay of the moving average of the weights that is validated and saved; 0 for none.
        precision: ``auto`` takes bfloat16 or float16 autocast where the device gains from it.
        eval_every: Epochs between validations.
        select_best: Keep the weights of the best validation. False keeps the last ones: where the validation split is
            the one that the final score is reported on, it may be watched but not selected on.
        seed: Seed of everything random.
        workers: Loader processes; -1 chooses by the machine.
        engine: How the machine computes it.
        expects: Published and measured scores.
    """

    name: str
    paper: str
    model: Model
    data: Data = Data()
    preprocess: Preprocess = Preprocess()
    augment: Augment
    sampling: Sampling = Shuffle()
    loss: Loss = CrossEntropy()
    aux: Auxiliary = Auxiliary()
    objectives: Literal["sum", "mgda"] = "sum"
    optim: Optimizer
    schedule: Schedule = Poly()
    freeze: tuple[str, ...] = ()
    freeze_norm: bool = False
    epochs: int
    steps: int | None = None
    batch_size: int
    devices: int = 1
    on_fewer: Literal["scale", "accumulate", "keep"] = "scale"
    accumulate: int = 1
    clip_norm: float | None = None
    ema: float = 0.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    eval_every: int = 1
    select_best: bool = True
    seed: int = 0
    workers: int = -1
    engine: Engine = Engine()
    expects: tuple[Expectation, ...] = ()

    def __post_init__(self) -> None:
        at_least(1, self, "epochs", "steps", "batch_size", "devices", "accumulate")
        above(0, self, "clip_norm")
        below_one(self, "ema")

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values; every union member names its class under ``kind``."""
        return plain(self)


def plain(plan: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return a plan as plain JSON values; the dataclasses in it name their class under ``kind``."""
    values = _plain(plan)
    if not isinstance(values, dict):  # pragma: no cover - a dataclass always becomes a dict
        raise TypeError(type(values))
    return values


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is untyped by nature
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
