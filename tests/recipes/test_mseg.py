import dataclasses

import pytest

from roadseg import recipes
from roadseg.labels import label_map, space
from roadseg.recipes import Balanced, mseg
from roadseg.recipes.adapt import with_budget

MSEG = [recipes.get(name) for name in recipes.names() if name.startswith("hrnet-mseg.")]
COMPOSITES = [plan for plan in MSEG if plan.data.parts]


@pytest.mark.parametrize(
    ("name", "crops", "batch_size", "steps", "side", "crop"),
    [
        ("mseg-1m", 1_000_000, 14, 500_000, 1080, 713),
        ("mseg-1m-mgda", 1_000_000, 35, 200_000, 1080, 713),
        ("mseg-1m-unrelabeled", 1_000_000, 35, 200_000, 1080, 713),
        ("naive-1m", 1_000_000, 28, 250_000, 1080, 713),
        ("mseg-3m-480p", 3_000_000, 84, 250_000, 480, 473),
        ("mseg-3m-720p", 3_000_000, 49, 428_571, 720, 593),
        ("mseg-3m-1080p", 3_000_000, 35, 600_000, 1080, 713),
    ],
)
def test_composites_take_as_many_crops_of_each_data_set_as_published(
    name, crops, batch_size, steps, side, crop
):
    plan = recipes.get(f"hrnet-mseg.{name}")
    assert (plan.batch_size, plan.steps) == (batch_size, steps)
    assert abs(plan.steps * plan.batch_size / 7 - crops) < batch_size
    assert (plan.augment.pre_size, plan.augment.pre_edge) == (side, "short")
    assert plan.augment.crop == (crop, crop)
    assert plan.sampling == Balanced()
    assert len({plan.data.root, *plan.data.parts}) == 7


def test_a_budget_is_spent_on_every_data_set():
    plan = dataclasses.replace(mseg.mseg_1m(), data=dataclasses.replace(mseg.mseg_1m().data, images=1000))
    short = with_budget(plan, 600, 8, data_sets=4)
    assert (short.steps, short.batch_size) == (300, 8)
    assert short.epochs == 3  # 2400 samples of 1000 images


@pytest.mark.parametrize("plan", [plan for plan in MSEG if plan.data.to], ids=lambda plan: plan.name)
def test_labels_lead_to_the_space_of_the_run(plan):
    for root in (plan.data.root, *plan.data.parts):
        name = root.rpartition("/")[2]
        if not name.endswith("-relabeled"):
            continue
        found = label_map(name, plan.data.to)
        assert found.target == space("mseg-194")
        assert all(
            wanted != found.target.ignore for _, wanted in found.table
        )  # relabeled ones ignore nothing


def test_tables_are_as_published():
    for plan in COMPOSITES:
        if plan.name == "hrnet-mseg.naive-1m":
            assert not plan.expects
            continue
        scores = [item.published for item in plan.expects]
        assert len(scores) == 15
        for each, mean in ((scores[:6], scores[6]), (scores[7:14], scores[14])):
            assert len(each) / sum(1 / score for score in each) == pytest.approx(mean, abs=0.06)


def test_what_sets_the_baselines_apart():
    relabeled, published = mseg.mseg_1m(), mseg.mseg_1m_unrelabeled()
    assert mseg.mseg_1m_mgda().data == relabeled.data
    assert mseg.mseg_1m_mgda().objectives == "mgda"
    assert not {relabeled.data.root, *relabeled.data.parts} & {published.data.root, *published.data.parts}
    assert dataclasses.replace(mseg.naive_1m().data, to="mseg-194") == published.data
    assert mseg.single_coco().data.root in published.data.parts
    assert not mseg.oracle_voc().data.to
