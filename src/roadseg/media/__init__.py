"""Pictures and masks on disk, predictions, and how they are drawn; NumPy and Pillow only."""

from roadseg.media.draw import contours, legend_bar, overlay, side_by_side, stack
from roadseg.media.find import FoundImage, find_images
from roadseg.media.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    image_size,
    read_image,
    read_mask,
    write_image,
    write_mask,
)
from roadseg.media.prediction import Prediction
from roadseg.media.writing import atomic_path, write_bytes, write_json, write_text

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "FoundImage",
    "Prediction",
    "atomic_path",
    "contours",
    "find_images",
    "image_size",
    "legend_bar",
    "overlay",
    "read_image",
    "read_mask",
    "side_by_side",
    "stack",
    "write_bytes",
    "write_image",
    "write_json",
    "write_mask",
    "write_text",
]
