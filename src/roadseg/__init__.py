"""roadseg: semantic segmentation of road scenes."""

__version__ = "0.1.0"
