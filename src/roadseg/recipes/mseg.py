"""MSeg (Lambert, Liu, Sener, Hays, Koltun, CVPR 2020 and TPAMI 2022, arXiv 2112.13762).

One network, 194 universal classes, seven data sets in every batch, each translated from its own classes as it is read
(``--data.to mseg-194``). ``data/NAME`` are the data sets as they are published; ``data/mseg/NAME-relabeled`` hold MSeg's
relabeled masks with a data.yaml of ``space: NAME-relabeled``. Published is one data set per GPU; here every batch is
composed of equal shares, whatever the GPUs.

All scores are of one scale, the best of 360, 720 and 1080 pixels for the shorter side. The published training does not
validate, and does not load ImageNet's weights although it is asked to; here every data set is scored on its own validation
split now and then, and the last weights are kept. Hardware of the source: Quadro RTX 6000, float32, 4 to 7 days for a
million crops per data set on 7 GPUs, 2 to 3 weeks for three million.
"""

import dataclasses

from roadseg.recipes.adapt import with_budget
from roadseg.recipes.spec import SGD, Augment, Balanced, Data, Expectation, Model, Poly, Recipe, Shuffle
from roadseg.recipes.splits import CAMVID, KITTI_CV2

__all__ = [
    "mseg_1m",
    "mseg_1m_mgda",
    "mseg_1m_unrelabeled",
    "mseg_3m_480p",
    "mseg_3m_720p",
    "mseg_3m_1080p",
    "naive_1m",
    "oracle_camvid",
    "oracle_kitti",
    "oracle_pascal_context",
    "oracle_scannet",
    "oracle_voc",
    "single_ade20k",
    "single_bdd",
    "single_cityscapes",
    "single_coco",
    "single_idd",
    "single_mapillary",
    "single_sunrgbd",
]

PAPER = "https://arxiv.org/abs/2112.13762"
UNIVERSAL = "mseg-194"
MILLION = 1_000_000

PUBLISHED = ("ade20k", "bdd100k", "cityscapes", "coco-panoptic", "idd", "mapillary", "sunrgbd")
SHORT = {"bdd100k": "bdd", "coco-panoptic": "coco"}
RELABELED = (
    *("ade20k-150", "bdd-19", "cityscapes-19", "coco-panoptic-133", "idd-39", "mapillary-65"),
    "sunrgbd-37",
)
IMAGES = 178_750
_ZERO_SHOT = (
    "VOC 2012",
    "PASCAL Context",
    "CamVid",
    "WildDash 1",
    "KITTI",
    "ScanNet",
    "harmonic mean of these",
)
_TRAINED_ON = (
    *("COCO", "ADE20K", "Mapillary Vistas", "IDD", "BDD", "Cityscapes", "SUN RGB-D"),
    "harmonic mean of these",
)


def _expectations(zero_shot: tuple[float, ...], trained_on: tuple[float, ...]) -> tuple[Expectation, ...]:
    """Return the rows of the two published tables: data sets never seen, and the training sets' validation splits."""
    return (
        *(
            Expectation(split=f"{name}, not trained on (authors' README)", published=score)
            for name, score in zip(_ZERO_SHOT, zero_shot, strict=True)
        ),
        *(
            Expectation(split=f"{name} val, universal classes (authors' README)", published=score)
            for name, score in zip(_TRAINED_ON, trained_on, strict=True)
        ),
    )


def _plan(name: str, short_side: int, crop: int) -> Recipe:
    return Recipe(
        name=name,
        paper=PAPER,
        model=Model(name="hrnet-w48-mseg"),
        data=Data(
            root=f"data/mseg/{RELABELED[0]}-relabeled",
            parts=tuple(f"data/mseg/{part}-relabeled" for part in RELABELED[1:]),
            to=UNIVERSAL,
            space=UNIVERSAL,
            images=IMAGES,
        ),
        augment=Augment(
            pre_size=short_side,
            pre_edge="short",
            crop=(crop, crop),
            scale=(0.5, 2.0),
            scale_draw="uniform",
            place="center",
            rotate=10.0,
            rotate_p=0.5,
            blur="gaussian",
            blur_sigma=(1.1, 1.1),  # OpenCV's for the stated kernel of 5x5
            blur_p=0.5,
        ),
        sampling=Balanced(),
        optim=SGD(lr=1e-2, weight_decay=1e-4),
        schedule=Poly(power=0.9),
        epochs=1,
        batch_size=7,
        devices=7,
        eval_every=10,
        select_best=False,
    )


def _composite(
    name: str, short_side: int, crop: int, crops: int, batch_size: int, expects: tuple[Expectation, ...]
) -> Recipe:
    """Return a plan for all seven data sets."""
    plan = with_budget(_plan(name, short_side, crop), crops, batch_size, data_sets=len(RELABELED))
    return dataclasses.replace(plan, expects=expects)


def _unrelabeled(plan: Recipe, name: str, to: str, batch_size: int) -> Recipe:
    """Return the plan for the data sets as they are published."""
    root, *parts = (f"data/{part}" for part in PUBLISHED)
    data = dataclasses.replace(plan.data, root=root, parts=tuple(parts), to=to)
    plan = dataclasses.replace(plan, name=name, data=data, expects=())
    return with_budget(plan, MILLION, batch_size, data_sets=len(PUBLISHED))


def mseg_1m() -> Recipe:
    """Train MSeg-1m: a million crops of each of the seven relabeled data sets.

        torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-1m

    Batches of 14 are in the published file; the README says 35. Size and crop are those of the 1080p network, which the
    single-crop figures fit; they are not stated.
    """
    expects = _expectations(
        (70.7, 42.7, 83.3, 62.0, 67.0, 48.2, 59.2), (50.7, 45.7, 53.1, 65.3, 68.5, 80.4, 50.3, 57.1)
    )
    return _composite("hrnet-mseg.mseg-1m", 1080, 713, MILLION, 14, expects)


def mseg_1m_mgda() -> Recipe:
    """Train MSeg-1m with the data sets as objectives of their own, weighted in every step (MGDA): the paper's ablation.

        torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-1m-mgda

    On fewer GPUs the batch is summed up in parts, so that every step sees all data sets. It needs gradients of seven
    backward passes a step, and 2 GB for them.
    """
    expects = _expectations(
        (68.5, 41.7, 82.9, 61.1, 66.7, 46.7, 58.0), (48.1, 43.7, 51.6, 64.1, 67.2, 78.2, 49.9, 55.4)
    )
    plan = _composite("hrnet-mseg.mseg-1m-mgda", 1080, 713, MILLION, 35, expects)
    return dataclasses.replace(plan, objectives="mgda", on_fewer="accumulate")


def mseg_1m_unrelabeled() -> Recipe:
    """Train on the seven data sets before relabeling, in the universal classes: the paper's ablation.

    torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-1m-unrelabeled
    """
    plan = _unrelabeled(mseg_1m(), "hrnet-mseg.mseg-1m-unrelabeled", UNIVERSAL, 35)
    return dataclasses.replace(
        plan,
        expects=_expectations(
            (70.2, 42.7, 82.0, 62.7, 65.5, 43.2, 57.6), (50.4, 45.4, 53.1, 65.1, 66.5, 79.5, 49.9, 56.6)
        ),
    )


def naive_1m() -> Recipe:
    """Train on the seven data sets in the union of their class names, whatever they mean: the paper's naive mix.

        torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.naive-1m

    No scores are published for it.
    """
    return _unrelabeled(mseg_1m(), "hrnet-mseg.naive-1m", "union", 28)


def mseg_3m_480p() -> Recipe:
    """Train MSeg-3m on images of 480 pixels on the shorter side, crops of 473.

    torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-3m-480p
    """
    expects = _expectations(
        (76.4, 45.9, 81.2, 62.7, 68.2, 49.5, 61.2), (56.1, 49.6, 53.5, 64.5, 67.8, 79.9, 49.2, 58.5)
    )
    return _composite("hrnet-mseg.mseg-3m-480p", 480, 473, 3 * MILLION, 84, expects)


def mseg_3m_720p() -> Recipe:
    """Train MSeg-3m on images of 720 pixels on the shorter side, crops of 593.

    torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-3m-720p
    """
    expects = _expectations(
        (74.7, 44.0, 83.5, 60.4, 67.9, 47.7, 59.8), (53.3, 48.2, 53.5, 64.8, 68.6, 79.8, 49.3, 57.8)
    )
    return _composite("hrnet-mseg.mseg-3m-720p", 720, 593, 3 * MILLION, 49, expects)


def mseg_3m_1080p() -> Recipe:
    """Train MSeg-3m on images of 1080 pixels on the shorter side, crops of 713.

    torchrun --nproc-per-node 7 -m roadseg train hrnet-mseg.mseg-3m-1080p
    """
    expects = _expectations(
        (72.0, 44.0, 84.5, 59.9, 66.5, 49.5, 59.8), (53.6, 49.2, 54.9, 66.3, 69.1, 81.5, 50.1, 58.8)
    )
    return _composite("hrnet-mseg.mseg-3m-1080p", 1080, 713, 3 * MILLION, 35, expects)


def _single(
    published: str, images: int, zero_shot: tuple[float, ...], trained_on: tuple[float, ...]
) -> Recipe:
    """Return the plan for one data set in the universal classes."""
    data = Data(root=f"data/{published}", to=UNIVERSAL, space=UNIVERSAL, images=images)
    plan = _alone(f"hrnet-mseg.{SHORT.get(published, published)}-1m", data)
    return dataclasses.replace(plan, expects=_expectations(zero_shot, trained_on))


def _alone(name: str, data: Data) -> Recipe:
    """Return the plan for one data set: a million crops, 32 in a batch, 8 GPUs."""
    plan = dataclasses.replace(
        _plan(name, 1080, 713),
        data=data,
        sampling=Shuffle(),
        devices=8,
        eval_every=max(1, 50_000 // data.images),
    )
    return with_budget(plan, MILLION, 32)


def single_ade20k() -> Recipe:
    """Train on ADE20K alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.ade20k-1m
    """
    return _single(
        "ade20k",
        20210,
        (35.4, 23.9, 52.6, 38.6, 41.6, 42.9, 36.9),
        (14.6, 45.6, 24.2, 26.8, 40.7, 44.3, 36.0, 28.7),
    )


def single_bdd() -> Recipe:
    """Train on BDD alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.bdd-1m
    """
    return _single(
        "bdd100k",
        7000,
        (14.4, 7.1, 70.7, 52.2, 54.5, 1.4, 6.1),
        (3.8, 4.2, 23.2, 32.3, 63.4, 58.1, 0.3, 1.6),
    )


def single_cityscapes() -> Recipe:
    """Train on Cityscapes alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.cityscapes-1m
    """
    return _single(
        "cityscapes",
        2975,
        (13.3, 6.8, 76.1, 30.1, 57.6, 1.7, 6.8),
        (3.4, 3.1, 22.1, 30.1, 44.1, 77.5, 0.2, 1.2),
    )


def single_coco() -> Recipe:
    """Train on COCO Panoptic alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.coco-1m
    """
    return _single(
        "coco-panoptic",
        118_287,
        (73.4, 43.3, 58.7, 38.2, 47.6, 33.4, 45.8),
        (52.7, 19.1, 28.4, 31.1, 44.9, 46.9, 29.6, 32.4),
    )


def single_idd() -> Recipe:
    """Train on IDD alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.idd-1m
    """
    return _single(
        "idd",
        6993,
        (14.6, 6.5, 72.1, 41.2, 51.0, 1.6, 6.5),
        (3.2, 3.0, 24.6, 64.9, 42.4, 48.0, 0.4, 2.3),
    )


def single_mapillary() -> Recipe:
    """Train on Mapillary Vistas alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.mapillary-1m
    """
    return _single(
        "mapillary",
        18_000,
        (22.5, 13.6, 82.1, 55.4, 67.7, 2.1, 9.3),
        (7.0, 6.2, 53.0, 50.6, 59.3, 71.9, 0.3, 1.7),
    )


def single_sunrgbd() -> Recipe:
    """Train on SUN RGB-D alone.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.sunrgbd-1m
    """
    return _single(
        "sunrgbd",
        5285,
        (10.0, 4.3, 0.1, 1.9, 1.1, 42.6, 0.3),
        (3.4, 7.0, 1.1, 1.0, 2.2, 2.6, 43.0, 2.1),
    )


def _oracle(name: str, data: Data, split: str, published: float) -> Recipe:
    """Return the plan for a data set in its own classes: what a network knows that has seen it."""
    expected = Expectation(split=f"{split} (authors' README)", published=published)
    return dataclasses.replace(_alone(f"hrnet-mseg.{name}", data), expects=(expected,))


def oracle_camvid() -> Recipe:
    """Train on CamVid itself, in its own classes: what a network knows that has seen the data set.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.camvid --data CAMVID
    """
    data = dataclasses.replace(CAMVID, train="train", val="val", images=367)
    return _oracle("camvid", data, "CamVid val, shorter side 1080", 78.79)


def oracle_kitti() -> Recipe:
    """Train on KITTI itself, in Cityscapes's classes.

        torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.kitti --data KITTI

    MSeg validates on 50 images; which, roadseg does not know: here the 21 of fold 0 are held out.
    """
    data = dataclasses.replace(KITTI_CV2, train="train-cv0", val="val-cv0")
    return _oracle("kitti", data, "KITTI, 50 held-out images", 58.4)


def oracle_pascal_context() -> Recipe:
    """Train on PASCAL Context itself, in its own classes.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.pascal-context
    """
    data = Data(root="data/pascal-context", space="pascal-context-60", images=4998)
    return _oracle("pascal-context", data, "PASCAL Context val", 45.8)


def oracle_scannet() -> Recipe:
    """Train on ScanNet itself, in the 20 classes of its benchmark.

    torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.scannet
    """
    data = Data(root="data/scannet", space="scannet-20", images=19_466)
    return _oracle("scannet", data, "ScanNet val", 62.3)


def oracle_voc() -> Recipe:
    """Train on PASCAL VOC 2012 itself, in its own classes.

        torchrun --nproc-per-node 8 -m roadseg train hrnet-mseg.voc

    Whether MSeg took the 1464 images of the challenge or the 10 582 that were labeled later is not stated; here the
    latter: 77.8 would be much for the former.
    """
    data = Data(root="data/voc", train="trainaug", space="voc-21", images=10_582)
    return _oracle("voc", data, "VOC 2012 val", 77.8)
