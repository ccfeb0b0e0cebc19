"""Class weights from the pixels that each class has in the training labels."""

import torch

__all__ = ["enet_weights", "inverse_frequency_weights", "median_frequency_weights"]


def enet_weights(counts: torch.Tensor, constant: float = 1.02) -> torch.Tensor:
    """Return ``[C]`` weights ``1 / ln(constant + share)``.

    ENet, Paszke, Chaurasia, Kim, Culurciello 2016, section 5.2.

    Args:
        counts: ``[C]`` pixels per class.
        constant: Larger is milder; 1.02 bounds the weights to 1.4 .. 50.
    """
    return (1 / (constant + _shares(counts)).log()).float()


def median_frequency_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return ``[C]`` weights ``median(share) / share``; classes without a pixel get 0.

    Eigen and Fergus, ICCV 2015, section 6.3.2, with the share taken over all pixels.

    Args:
        counts: ``[C]`` pixels per class.
    """
    share = _shares(counts)
    present = share > 0
    # torch.median takes the lower middle value; the mean of both middles is what the paper's tables show.
    median = share[present].quantile(0.5) if bool(present.any()) else share.new_tensor(1.0)
    return torch.where(present, median / share.clamp(min=1e-12), 0.0).float()


def inverse_frequency_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return ``[C]`` weights ``1 / share``, scaled to a mean of 1 over the classes that occur; the others get 0.

    Without the scaling, the rarest class alone would set the size of every step.

    Args:
        counts: ``[C]`` pixels per class.
    """
    present = counts > 0
    inverse = torch.where(present, 1 / counts.double().clamp(min=1), 0.0)
    return (inverse * present.sum() / inverse.sum().clamp(min=1e-300)).float()


def _shares(counts: torch.Tensor) -> torch.Tensor:
    return counts.double() / counts.sum().clamp(min=1)
