"""The splits that recipes are written for, and how many images they train on."""

from roadseg.recipes.spec import Data

__all__ = [
    "CAMVID",
    "CITYSCAPES",
    "CITYSCAPES_CV2",
    "CITYSCAPES_TRAINVAL",
    "KITTI_CV2",
    "MAPILLARY",
]

CITYSCAPES = Data(train="train", val="val", space="cityscapes-19", images=2975)

CITYSCAPES_CV2 = Data(train="train-cv2", val="val-cv2", space="cityscapes-19", images=2820)
"""Fold 2, which validates on Monchengladbach, Strasbourg and Stuttgart."""

CITYSCAPES_TRAINVAL = Data(train="train+val", val="", space="cityscapes-19", images=3475)
"""All that may be trained on for the test server; nothing is left to validate on."""

CAMVID = Data(train="train+val", val="test", space="camvid-11", images=468)
"""The field's custom: trained on train and val, scored on test, which may be watched but not selected on."""

MAPILLARY = Data(train="train", val="val", space="mapillary-65", images=18_000)

KITTI_CV2 = Data(train="train-cv2", val="val-cv2", space="cityscapes-19", images=179)
"""Fold 2 of the three that Zhu et al. (CVPR 2019) used."""
