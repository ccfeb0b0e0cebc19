"""Scores of a network that learned corrected labels, on labels that were not corrected (MSeg)."""

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace

__all__ = ["credit_relabeled"]


def credit_relabeled(
    prediction: NDArray[np.integer],
    relabeled: NDArray[np.integer],
    original: NDArray[np.integer],
    space: LabelSpace,
    where: str = "",
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the prediction and the truth to score a network by that was trained on relabeled data.

    MSeg splits and merges the classes of its source data sets by drawing labels anew. A network trained on the new labels
    is scored on the old ones so (Lambert et al., CVPR 2020, and its code): where the two labels differ, a
    prediction that meets the new one counts as meeting the old one, and any other is a miss that is no class's false
    positive. Where the new label is void, so is the truth.

    Args:
        prediction: ``[H, W]`` ids of the space.
        relabeled: ``[H, W]`` labels after relabeling.
        original: ``[H, W]`` labels before it.
        space: The label space of all three.
        where: Names the image in errors.

    Returns:
        The prediction and the truth, ``[H, W]`` each.

    Raises:
        LabelError: The shapes differ.
    """
    if not prediction.shape == relabeled.shape == original.shape:
        raise LabelError(
            f"prediction, relabeled and original labels of shapes {prediction.shape}, {relabeled.shape} and"
            f" {original.shape} differ",
            where=where or None,
            remedy="give the original labels of the same images, at the same size",
        )
    changed = relabeled != original
    credited = np.where(changed, np.where(prediction == relabeled, original, space.ignore), prediction)
    truth = np.where(relabeled == space.ignore, space.ignore, original)
    return credited.astype(space.dtype), truth.astype(space.dtype)
