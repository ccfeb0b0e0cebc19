"""Label spaces and the maps between them; NumPy only.

A :class:`LabelSpace` says what the ids of a label picture mean, a :class:`LabelMap` turns one space into another.
The spaces that come with roadseg are found by name: ``space("cityscapes-19")``.
"""

from roadseg.labels.catalog import find_space, label_map, space, space_names, space_note, space_origins
from roadseg.labels.documents import SpaceNote
from roadseg.labels.mapping import LabelMap
from roadseg.labels.report import MapReport
from roadseg.labels.space import Class, LabelSpace

__all__ = [
    "Class",
    "LabelMap",
    "LabelSpace",
    "MapReport",
    "SpaceNote",
    "find_space",
    "label_map",
    "space",
    "space_names",
    "space_note",
    "space_origins",
]
