"""Predictions in another label space: what ``--to`` and ``--translate`` of several commands mean."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from roadseg.cli.terminal import Terminal
from roadseg.errors import LabelError

if TYPE_CHECKING:
    from roadseg.inference import Predictor
    from roadseg.labels import LabelMap, LabelSpace
    from roadseg.media import Prediction

__all__ = ["How", "To", "Translation", "find_target"]

How = Literal["scores", "labels"]
"""What is translated: probabilities, summed before the best class is taken, or the labels of the best class."""

To = Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")]
"""The type of a command's field for the label space of its results."""

_NAMED = 5  # classes that a sentence names


def find_target(to: str | None) -> "LabelSpace | None":
    """Return the label space that ``--to`` names, if it names one.

    Raises:
        LabelError: There is no such space, or its file is not usable.
    """
    from roadseg.labels import find_space

    if to is None:
        return None
    try:
        return find_space(to)
    except LabelError as error:
        if to in str(error) or not to.endswith(".toml"):
            raise
        raise LabelError(f"{error.where}: {error.what}", where=to, remedy=error.remedy) from error


@dataclass(frozen=True)
class Translation:
    """How the results get into their label space.

    Attributes:
        map: From the classes of the network to those of the results.
        how: What is translated; None if the network's space is that of the results.
    """

    map: "LabelMap"
    how: How | None

    @classmethod
    def choose(cls, own: "LabelSpace", target: "LabelSpace | None", how: How = "scores") -> "Translation":
        """Decide how results of a network's space come to another one.

        Where no classes are joined and none is dropped, sums have nothing to add: labels are translated, which is faster.

        Raises:
            LabelError: No map leads there.
        """
        from roadseg.labels import label_map

        if target is None or target == own:
            return cls(label_map(own, own), None)
        try:
            found = label_map(own, target)
        except LabelError as error:
            raise LabelError(
                f"no map leads from {own.name}, which the weights predict, to {target.name}",
                where=f"--to {target.name}",
                remedy=f"give a .toml file whose [from.{own.name}] says which classes become which",
            ) from error
        translation = cls(found, how)
        return replace(translation, how="labels") if translation.only_renames else translation

    @property
    def space(self) -> "LabelSpace":
        """The label space of the results."""
        return self.map.target

    @property
    def only_renames(self) -> bool:
        """Whether every class of the network has a class of its own in the results."""
        return bool((self._taken.sum(0) == 1).all() and (self._taken.sum(1) <= 1).all())

    @property
    def dropped(self) -> tuple[str, ...]:
        """The classes of the network that the results have no class for."""
        return tuple(
            name for name, kept in zip(self.map.source.names, self._taken.any(0), strict=True) if not kept
        )

    @property
    def never(self) -> tuple[str, ...]:
        """The classes of the results that no class of the network leads to."""
        return tuple(
            name for name, ever in zip(self.space.names, self._taken.any(1), strict=True) if not ever
        )

    def apply(self, predictor: "Predictor") -> "Predictor":
        """Return the predictor that gives what is then translated."""
        return predictor.to(self.map) if self.how == "scores" else predictor

    def __call__(self, prediction: "Prediction") -> "Prediction":
        """Return a prediction in the label space of the results."""
        if prediction.space == self.space:
            return prediction
        return replace(prediction, labels=self.map.relabel(prediction.labels), space=self.space)

    def settings(self) -> dict[str, Any]:
        """Return what results depend on, as JSON; nothing where nothing is translated."""
        return (
            {}
            if self.how is None
            else {"translate": self.how, "map": [list(pair) for pair in self.map.table]}
        )

    def facts(self) -> dict[str, Any]:
        """Return what is worth telling, as JSON; nothing where nothing is translated."""
        return {} if self.how is None else {"translate": self.how, "never": list(self.never)}

    def tell(self, terminal: Terminal) -> None:
        """Say what cannot come out, and where it goes instead."""
        if self.how is None:
            return
        own, space = self.map.source, self.space
        if self.dropped:
            instead = "the best of the others" if self.how == "scores" else f"the ignored id {space.ignore}"
            terminal.note(
                f"{own.name} to {space.name}: {len(self.dropped)} of {own.num_classes} classes have none there "
                f"({_listed(self.dropped)}); their pixels get {instead}"
            )
        if self.never:
            terminal.note(f"{space.name}: these weights can never predict {_listed(self.never)}")

    @cached_property
    def _taken(self) -> Any:  # noqa: ANN401 - NumPy is loaded with the labels
        """Which class of the results ``[Ct, Cs]`` each class of the network goes to."""
        return self.map.matrix.astype(bool)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
