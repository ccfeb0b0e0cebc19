"""Complete training plans as values: one file per paper, functions that return a `Recipe`."""

import difflib
import inspect
from collections.abc import Callable

from roadseg.errors import RecipeError
from roadseg.recipes import (
    bisenet,
    dfanet,
    dfnet,
    espnet,
    fast_scnn,
    hierarchical_attention,
    icnet,
    label_relaxation,
    mseg,
    msfnet,
    pspnet,
    smp_cityscapes,
    swiftnet,
)
from roadseg.recipes.adapt import adapted, scaled
from roadseg.recipes.spec import (
    RMI,
    SGD,
    AdamW,
    Augment,
    AutoLabels,
    Auxiliary,
    Balanced,
    BinaryCrossEntropy,
    Boundary,
    ClassUniform,
    Cosine,
    CrossEntropy,
    Data,
    Dice,
    Engine,
    Expectation,
    Focal,
    FrameNetwork,
    FrameWeights,
    ImageWeighted,
    Loss,
    Lovasz,
    Milestones,
    Model,
    Ohem,
    Optimizer,
    Poly,
    Preprocess,
    RAdam,
    RareClass,
    Recipe,
    Relaxed,
    RescaledPoly,
    Sampling,
    Schedule,
    Shuffle,
    Step,
    Synthetic,
    VideoPrediction,
    Videos,
)

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
    "about",
    "adapted",
    "get",
    "names",
    "scaled",
]

_RECIPES: dict[str, Callable[[], Recipe]] = {
    "bisenet-resnet18.camvid": bisenet.resnet18_camvid,
    "bisenet-resnet18.cityscapes": bisenet.resnet18_cityscapes,
    "bisenet-resnet18.cityscapes-768": bisenet.resnet18_cityscapes_768,
    "bisenet-xception39.camvid": bisenet.xception39_camvid,
    "bisenet-xception39.cityscapes": bisenet.xception39_cityscapes,
    "bisenet-xception39.cityscapes-768": bisenet.xception39_cityscapes_768,
    "bisenet.camvid-30min": bisenet.camvid_30min,
    "deeplabv3plus-efficientnet-b4.cityscapes": smp_cityscapes.deeplabv3plus,
    "deeplabv3plus-seresnext50.cityscapes-propagated": label_relaxation.seresnext50_cityscapes_propagated,
    "deeplabv3plus-seresnext50.cityscapes-relaxed": label_relaxation.seresnext50_cityscapes,
    "deeplabv3plus-seresnext50.mapillary": label_relaxation.seresnext50_mapillary,
    "deeplabv3plus-wrn38-hms.cityscapes": hierarchical_attention.deeplab_hms_cityscapes,
    "deeplabv3plus-wrn38.camvid": label_relaxation.wrn38_camvid,
    "deeplabv3plus-wrn38.cityscapes": hierarchical_attention.deeplab_cityscapes,
    "deeplabv3plus-wrn38.cityscapes-propagated": label_relaxation.wrn38_cityscapes_propagated,
    "deeplabv3plus-wrn38.cityscapes-relaxed": label_relaxation.wrn38_cityscapes,
    "deeplabv3plus-wrn38.cityscapes-relaxed-cv2": label_relaxation.wrn38_cityscapes_cv2,
    "deeplabv3plus-wrn38.kitti": label_relaxation.wrn38_kitti,
    "deeplabv3plus-wrn38.mapillary": label_relaxation.wrn38_mapillary,
    "df1-seg.cityscapes": dfnet.df1_cityscapes,
    "df2-seg1.cityscapes": dfnet.df2_seg1_cityscapes,
    "df2-seg2.cityscapes": dfnet.df2_seg2_cityscapes,
    "dfanet-a.camvid": dfanet.camvid,
    "dfanet-a.cityscapes": dfanet.cityscapes,
    "dfanet-a.cityscapes-fast-seg": dfanet.cityscapes_fast_seg,
    "espnet-c.camvid": espnet.encoder_camvid,
    "espnet-c.cityscapes": espnet.encoder_cityscapes,
    "espnet.camvid": espnet.camvid,
    "espnet.camvid-30min": espnet.camvid_30min,
    "espnet.camvid-two-stage": espnet.camvid_two_stage,
    "espnet.cityscapes": espnet.cityscapes,
    "fast-scnn.camvid": fast_scnn.camvid,
    "fast-scnn.camvid-30min": fast_scnn.camvid_30min,
    "fast-scnn.camvid-fine": fast_scnn.camvid_fine,
    "fast-scnn.camvid-refined": fast_scnn.camvid_refined,
    "fast-scnn.camvid-regions": fast_scnn.camvid_regions,
    "fast-scnn.camvid-varied": fast_scnn.camvid_varied,
    "fast-scnn.cityscapes": fast_scnn.cityscapes,
    "fast-scnn.synthetic": fast_scnn.synthetic,
    "hrnet-mseg.ade20k-1m": mseg.single_ade20k,
    "hrnet-mseg.bdd-1m": mseg.single_bdd,
    "hrnet-mseg.camvid": mseg.oracle_camvid,
    "hrnet-mseg.cityscapes-1m": mseg.single_cityscapes,
    "hrnet-mseg.coco-1m": mseg.single_coco,
    "hrnet-mseg.idd-1m": mseg.single_idd,
    "hrnet-mseg.kitti": mseg.oracle_kitti,
    "hrnet-mseg.mapillary-1m": mseg.single_mapillary,
    "hrnet-mseg.mseg-1m": mseg.mseg_1m,
    "hrnet-mseg.mseg-1m-mgda": mseg.mseg_1m_mgda,
    "hrnet-mseg.mseg-1m-unrelabeled": mseg.mseg_1m_unrelabeled,
    "hrnet-mseg.mseg-3m-1080p": mseg.mseg_3m_1080p,
    "hrnet-mseg.mseg-3m-480p": mseg.mseg_3m_480p,
    "hrnet-mseg.mseg-3m-720p": mseg.mseg_3m_720p,
    "hrnet-mseg.naive-1m": mseg.naive_1m,
    "hrnet-mseg.pascal-context": mseg.oracle_pascal_context,
    "hrnet-mseg.scannet": mseg.oracle_scannet,
    "hrnet-mseg.sunrgbd-1m": mseg.single_sunrgbd,
    "hrnet-mseg.voc": mseg.oracle_voc,
    "hrnet-ocr-hms.cityscapes": hierarchical_attention.cityscapes,
    "hrnet-ocr-hms.cityscapes-sota": hierarchical_attention.cityscapes_sota,
    "hrnet-ocr-hms.cityscapes-teacher": hierarchical_attention.cityscapes_teacher,
    "hrnet-ocr-hms.cityscapes-trainval": hierarchical_attention.cityscapes_trainval,
    "hrnet-ocr-hms.mapillary": hierarchical_attention.mapillary,
    "hrnet-ocr-hms.mapillary-paper": hierarchical_attention.mapillary_paper,
    "icnet-resnet50.cityscapes": icnet.resnet50_cityscapes,
    "icnet.cityscapes": icnet.cityscapes,
    "icnet.cityscapes-trainval": icnet.cityscapes_trainval,
    "msfnet.camvid": msfnet.camvid,
    "msfnet.cityscapes": msfnet.cityscapes,
    "pspnet-resnet101.cityscapes": pspnet.resnet101_cityscapes,
    "pspnet-resnet50.cityscapes": pspnet.resnet50_cityscapes,
    "swiftnet-pyramid.cityscapes": swiftnet.pyramid_cityscapes,
    "swiftnet.camvid": swiftnet.camvid,
    "swiftnet.camvid-30min": swiftnet.camvid_30min,
    "swiftnet.camvid-imagenet": swiftnet.camvid_imagenet,
    "swiftnet.cityscapes": swiftnet.cityscapes,
    "unet-efficientnet-b4.cityscapes": smp_cityscapes.unet,
}


def names() -> tuple[str, ...]:
    """Return the names of all recipes, sorted."""
    return tuple(sorted(_RECIPES))


def get(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in _RECIPES:
        raise RecipeError(f"there is no recipe {name!r}", remedy=_near(name))
    return _RECIPES[name]()


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "`roadseg recipes` lists them"


def about(name: str) -> str:
    """Return what a recipe's function says about it: what is published, what is chosen, what differs.

    Raises:
        RecipeError: There is none of that name.
    """
    get(name)
    return inspect.getdoc(_RECIPES[name]) or ""
