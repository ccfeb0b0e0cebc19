"""``roadseg convert``: from a checkpoint to a weight file that says what it is."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from roadseg.cli.pairs import pair_texts, parse_pairs
from roadseg.cli.terminal import Flag, Options, Talk, Terminal, size_text
from roadseg.errors import InputError, OutputError, RecipeError, WeightsError
from roadseg.recipes import Preprocess

if TYPE_CHECKING:
    from torch import nn

    from roadseg.inference import WeightsCard
    from roadseg.labels import LabelSpace
    from roadseg.models.weights import CheckpointFile

__all__ = ["Convert"]

_DESCRIBING = ("model", "options", "space", "preprocess")
_Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
_Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Turn a checkpoint into a weight file that says what it is.

    Nothing in the checkpoint is executed. Files in a layout that roadseg knows (`roadseg models NAME`) need no
    further flags: network, label space and preprocessing follow from it.

        roadseg convert espnet_p_2_q_8_camvid.pth -o espnet.safetensors
        roadseg convert mine.pth --model fast-scnn --space cityscapes-19 -o mine.safetensors
        roadseg convert runs/mine/best.safetensors --half -o small.safetensors

    Attributes:
        old: A .pth or .safetensors file, or a folder that save_pretrained of segmentation_models_pytorch wrote; one
            of roadseg's own files is saved anew.
        new: The file to write, NAME.safetensors.
        model: Network (`roadseg models`), or package.module:callable (default: recognized from the weights).
        options: Options of the network, for example alpha2=2 alpha3=8.
        space: Label space of the channels (`roadseg labels`), or a .txt file with one class name per line (default:
            that of the published files in this layout).
        preprocess: How its input is made: order=BGR mean=1,2,3 std=1,2,3 scale=1/255
            size=512,1024 (height, width) short_side=576.
        half: Store numbers in half precision.
        calibration: A score by `roadseg evaluate --calibration --out` on data the weights were not trained on; its
            temperature is recorded, and probabilities then mean what they say.
        score: Scores of OLD to record, files written by `roadseg evaluate --out`.
        license: License to record.
        note: Remark to record.
        trust_code: Accept a weight file of ours whose network is package.module:callable, and run that code.
    """

    old: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OLD", help_behavior_hint="")]
    new: Annotated[
        Path, tyro.conf.arg(name="out", aliases=["-o"], metavar="NEW", help_behavior_hint="(required)")
    ]
    model: _Name = None
    options: Options = ()
    space: _Name = None
    preprocess: Options = ()
    half: Flag = False
    calibration: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    score: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...", help_behavior_hint="")] = ()
    license: _Text = None
    note: _Text = None
    trust_code: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Read, describe, write, and say what was written."""
        import torch

        from roadseg.inference import save_package
        from roadseg.models import read_state
        from roadseg.models.bundled import CARD_KEY, WEIGHTS_SUFFIX

        if self.new.suffix != WEIGHTS_SUFFIX:
            raise OutputError(
                "is no name of a weight file", where=self.new, remedy=f"let it end in {WEIGHTS_SUFFIX}"
            )
        model_name, options, file = self.model, parse_pairs(self.options, "--options"), self.old
        if self.old.is_dir():
            from roadseg.models.smp import read_folder

            model_name, _, found, file = read_folder(self.old)
            options = found | options
        checkpoint = read_state(file)
        if CARD_KEY in checkpoint.metadata:
            model, card = self._reread()
        else:
            model, card = self._describe(checkpoint, model_name, options)
        scores = [_recorded(path, file) for path in self.score]
        card = dataclasses.replace(card, scores=(*card.scores, *scores))
        if self.calibration is not None:
            # The score was made with the temperature that the card has already.
            temperature = card.temperature * _read_temperature(self.calibration, file)
            card = dataclasses.replace(card, temperature=round(temperature, 4))
        save_package(self.new, model, card, torch.float16 if self.half else None)
        self._tell(card)
        return 0

    def _reread(self) -> "tuple[nn.Module, WeightsCard]":
        """Return the network and the card of a file of ours, with a new license or note where given."""
        from roadseg.inference import load_package

        if given := [name for name in _DESCRIBING if getattr(self, name)]:
            flags = ", ".join(f"--{name}" for name in given)
            raise WeightsError("says already what it is", where=self.old, remedy=f"leave out {flags}")
        model, card = load_package(self.old, trust_code=self.trust_code)
        provenance = dict(card.provenance) | ({"note": self.note} if self.note else {})
        return model, dataclasses.replace(card, license=self.license or card.license, provenance=provenance)

    def _describe(
        self, checkpoint: "CheckpointFile", model: str | None, options: Mapping[str, Any]
    ) -> "tuple[nn.Module, WeightsCard]":
        """Build the network of a foreign checkpoint, load it, and make its card."""
        from roadseg.inference import adopt

        given = _checked(parse_pairs(self.preprocess, "--preprocess"))
        network, card = adopt(
            checkpoint,
            model=model,
            options=options,
            labels=self._labels(),
            preprocess=given,
            license=self.license,
        )
        if flushed := card.provenance.get("denormals_set_to_zero"):
            self.terminal.note(f"{flushed} denormal values were set to zero: they only slow processors down")
        if not given and card.preprocess == Preprocess() and "published" not in card.provenance:
            self.terminal.note(
                "note: no --preprocess was given; RGB with ImageNet's mean and std is recorded"
            )
        provenance = dict(card.provenance) | ({"note": self.note} if self.note else {})
        return network, dataclasses.replace(card, provenance=provenance)

    def _labels(self) -> "LabelSpace | None":
        from roadseg.labels import space

        if self.space is None:
            return None
        return _read_names(Path(self.space)) if self.space.endswith(".txt") else space(self.space)

    def _tell(self, card: "WeightsCard") -> None:
        size = self.new.stat().st_size
        self.terminal.emit({"file": str(self.new), "bytes": size, **card.to_json()})
        options = " ".join(pair_texts(card.options))
        self.terminal.say(
            f"{self.new} ({size_text(size)})",
            f"  network  {card.model} {options}".rstrip(),
            f"  labels   {card.space.name}, {card.space.num_classes} classes",
            f"  input    {' '.join(pair_texts(dataclasses.asdict(card.preprocess)))}",
            *([f"  logits   divided by {card.temperature:.4g}"] if card.temperature != 1 else []),
            f"  license  {card.license}",
            *([f"  layout   {card.provenance['layout']}"] if "layout" in card.provenance else []),
            f"  try it:  roadseg predict street.jpg --weights {self.new}",
        )


_RECORDED = (
    "miou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "category_miou",
    "iiou",
    "category_iiou",
    "classes",
    "categories",
    "protocol",
    "interval",
)
"""What of a score goes into the card: `Scores.to_json` and the interval, not the images it was computed on."""


def _is_row(value: object, length: int, kinds: type | tuple[type, ...]) -> bool:
    return (
        isinstance(value, tuple) and len(value) == length and all(isinstance(item, kinds) for item in value)
    )


_NUMBERS = (int, float)
_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "order": (lambda value: value in ("RGB", "BGR"), "give RGB or BGR"),
    "mean": (lambda value: _is_row(value, 3, _NUMBERS), "give three numbers separated by commas"),
    "std": (lambda value: _is_row(value, 3, _NUMBERS) and 0 not in value, "give three numbers other than 0"),
    "scale": (lambda value: isinstance(value, _NUMBERS), "give a number such as 1/255"),
    "size": (lambda value: value is None or _is_row(value, 2, int), "give height,width in pixels, or none"),
    "short_side": (lambda value: value is None or isinstance(value, int), "give a number of pixels, or none"),
}
"""The form of each value of the preprocessing."""


def _checked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return values of the preprocessing that have the right form.

    Raises:
        RecipeError: A key or a value does not fit.
    """
    for key, value in given.items():
        if key not in _FORMS:
            raise RecipeError(
                f"there is no {key!r}", where="--preprocess", remedy=f"known are {', '.join(_FORMS)}"
            )
        fits, remedy = _FORMS[key]
        if not fits(value):
            raise RecipeError(f"{key} is {value!r}", where="--preprocess", remedy=remedy)
    return given


def _read_names(path: Path) -> "LabelSpace":
    from roadseg.labels import LabelSpace

    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "cannot be read as a list of class names", where=path, remedy="one name per line"
        ) from error
    return LabelSpace.from_names([line for line in lines if line], name=path.stem)


def _read_temperature(path: Path, weights: Path) -> float:
    """Return the best temperature of a score, which must be of these weights."""
    score = _read_score(path)
    calibration = score.get("calibration")
    found = calibration.get("temperature") if isinstance(calibration, dict) else None
    if not isinstance(found, int | float) or not 0 < found < math.inf:
        raise InputError(
            "holds no temperature", where=path, remedy="evaluate again with --calibration, on labeled images"
        )
    _check_weights(score.get("weights_sha256"), path, weights)
    return float(found)


def _recorded(path: Path, weights: Path) -> Mapping[str, Any]:
    """Return what is recorded of a score, which must be of these weights where it says of which."""
    score = _read_score(path)
    if "weights_sha256" in score:
        _check_weights(score["weights_sha256"], path, weights)
    return {key: score[key] for key in _RECORDED if key in score}


def _check_weights(digest: object, score: Path, weights: Path) -> None:
    from roadseg.inference import file_sha256

    if digest != file_sha256(weights):
        raise InputError(
            f"is a score of other weights than {weights}",
            where=score,
            remedy=f"evaluate these: --weights {weights}",
        )


def _read_score(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not {"miou", "protocol"} <= set(found):
            raise ValueError("no score")
    except (OSError, ValueError) as error:
        raise InputError(
            "is no score", where=path, remedy="give a file written by `roadseg evaluate --out FILE`"
        ) from error
    return found
