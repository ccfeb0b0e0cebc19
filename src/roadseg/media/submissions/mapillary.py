"""Mapillary Vistas 1.2, semantic segmentation: the ids are positions in the list of the data's ``config.json``."""

from roadseg.media.submissions.benchmark import Benchmark

__all__ = ["MAPILLARY"]

MAPILLARY = Benchmark(
    name="mapillary",
    title="Mapillary Vistas 1.2, semantic segmentation",
    official="mapillary-65",
    networks="mapillary-65",
    takes_ignored=False,  # 65, Unlabeled, is no class that is evaluated
    counts={"test": 5000, "val": 2000},
    source="mapillary_vistas, evaluation scripts: 8-bit gray PNG, positions in config.json; 16 bits are instances",
    upload="upload it to the benchmark server",
)
