"""The parts of a recipe: frozen values that say how a network is trained, without doing anything themselves.

A `Recipe` is complete: nothing is read from elsewhere. Alternatives (losses, samplings, optimizers, schedules) are
unions of small dataclasses; ``roadseg.training.build`` turns each into an object with one ``match``. Standard library
only.
"""

from roadseg.recipes.spec.augment import Augment
from roadseg.recipes.spec.losses import (
    RMI,
    Auxiliary,
    BinaryCrossEntropy,
    Boundary,
    CrossEntropy,
    Dice,
    Focal,
    ImageWeighted,
    Loss,
    Lovasz,
    Ohem,
    Relaxed,
)
from roadseg.recipes.spec.optim import (
    SGD,
    AdamW,
    Cosine,
    Milestones,
    Optimizer,
    Poly,
    RAdam,
    RescaledPoly,
    Schedule,
    Step,
)
from roadseg.recipes.spec.plan import (
    AutoLabels,
    Data,
    Engine,
    Expectation,
    Model,
    Preprocess,
    Recipe,
    Synthetic,
)
from roadseg.recipes.spec.sampling import Balanced, ClassUniform, RareClass, Sampling, Shuffle
from roadseg.recipes.spec.video import FrameNetwork, FrameWeights, VideoPrediction, Videos

__all__ = [
    "RMI",
    "SGD",
    "AdamW",
    "Augment",
    "AutoLabels",
    "Auxiliary",
    "Balanced",
    "BinaryCrossEntropy",
    "Boundary",
    "ClassUniform",
    "Cosine",
    "CrossEntropy",
    "Data",
    "Dice",
    "Engine",
    "Expectation",
    "Focal",
    "FrameNetwork",
    "FrameWeights",
    "ImageWeighted",
    "Loss",
    "Lovasz",
    "Milestones",
    "Model",
    "Ohem",
    "Optimizer",
    "Poly",
    "Preprocess",
    "RAdam",
    "RareClass",
    "Recipe",
    "Relaxed",
    "RescaledPoly",
    "Sampling",
    "Schedule",
    "Shuffle",
    "Step",
    "Synthetic",
    "VideoPrediction",
    "Videos",
]
