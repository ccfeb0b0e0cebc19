"""Joint random changes of image and mask, on uint8; normalization happens on the device, last.

`TrainTransform` cuts a window out of image and mask (window.py), applies random operations to both (rand_augment.py),
then changes the image's colors (color.py) and sharpness (blur.py).
"""

from roadseg.data.transforms.train import TrainTransform

__all__ = ["TrainTransform"]
