"""Training losses: modules of (logits, mask) that know nothing of networks or data sets."""

from roadseg.losses.cross_entropy import CrossEntropyLoss, enet_weights, median_frequency_weights

__all__ = ["CrossEntropyLoss", "enet_weights", "median_frequency_weights"]
