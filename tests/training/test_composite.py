"""One network on several data sets: splits, shares, label spaces, caches, and a row of scores for each."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
import torch

from roadseg import recipes
from roadseg.data import open_source
from roadseg.data.cache import build_cache
from roadseg.errors import DataError, LabelError, RecipeError
from roadseg.inference import load_package
from roadseg.labels import space
from roadseg.recipes import Balanced, ClassUniform, CrossEntropy, Data, Model, Synthetic
from roadseg.training import fit
from roadseg.training.distributed import World
from roadseg.training.feed import Feed
from roadseg.training.parts import Place, open_parts, places
from roadseg.training.report import Silent
from tests.fakes import fake_camvid, fake_cityscapes, fake_mapillary, fake_yaml
from tests.fakes_driving import fake_bdd100k, fake_idd
from tests.fakes_general import fake_ade20k, fake_coco_panoptic, fake_sunrgbd
from tests.training.plans import composite, shared, torchrun, weights_of

NAMES = ("camvid", "cityscapes", "kitti")


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def feed_of(plan, rank=0, size=1):
    return Feed.of(plan, World(rank, size, torch.device("cpu")), Silent())


def assert_same_weights(one, other, **tolerances):
    for key, value in weights_of(one).items():
        torch.testing.assert_close(value, weights_of(other)[key], **tolerances)


class TestPlaces:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("b", Place("b", "train", "val")),
            ("b@", Place("b", "train", "val")),
            ("b@train+val", Place("b", "train+val", "val")),
            ("b@train@test", Place("b", "train", "test")),
            ("b@train@", Place("b", "train", "")),
            ("b@@test", Place("b", "train", "test")),
            ("kitti:/some/b@train-cv0@val-cv0", Place("kitti:/some/b", "train-cv0", "val-cv0")),
            ("/at@home/b", Place("/at@home/b", "train", "val")),
            ("/at@home/b@x", Place("/at@home/b", "x", "val")),
        ],
    )
    def test_a_part_may_name_its_splits(self, text, place):
        assert places(Data(root="a", train="train", val="val", parts=(text,)))[1] == place

    @pytest.mark.parametrize("form", ["{}", "kitti:{}"])
    def test_a_folder_of_that_name_comes_first(self, tmp_path, form):
        folder = tmp_path / "kitti@home"
        folder.mkdir()
        text = form.format(folder)
        assert places(Data(root="a", parts=(text,)))[1] == Place(text, "train", "val")

    def test_without_a_root_there_is_nothing(self):
        with pytest.raises(RecipeError, match="no data is given to train on"):
            places(Data(parts=("b",)))


class TestParts:
    def test_all_are_in_one_label_space(self, composite_roots):
        parts = open_parts(composite(*composite_roots).data)
        assert [part.name for part in parts] == list(NAMES)
        assert {part.source.target for part in parts} == {space("mseg-194")}
        assert [(part.train, part.val) for part in parts] == [
            ("train+val", "test"),
            ("train", "val"),
            ("train-cv0", "val-cv0"),
        ]

    def test_the_union_holds_every_name_once_whatever_its_case(self, composite_roots):
        plan = composite(*composite_roots)
        parts = open_parts(dataclasses.replace(plan.data, to="union"))
        names = parts[0].source.target.names
        camvid, city = space("camvid-11").names, space("cityscapes-19").names
        assert names == tuple(dict.fromkeys(name.lower() for name in (*camvid, *city)))
        assert {part.source.target for part in parts} == {parts[0].source.target}
        first = parts[1].source
        label = first.read_label(first.find("train")[0])
        native = first.native.read_label(first.find("train")[0])
        assert [names[i] for i in label[label != 255]] == [city[i].lower() for i in native[native != 255]]

    @pytest.mark.parametrize("same", [True, False])
    def test_data_sets_of_one_kind_go_by_their_folders(self, tmp_path, same):
        roots = [fake_camvid(tmp_path / name / ("camvid" if same else name)) for name in ("old", "new")]
        parts = open_parts(Data(root=str(roots[0]), parts=(str(roots[1]),)))
        assert [part.name for part in parts] == (["camvid-1", "camvid-2"] if same else ["old", "new"])

    def test_a_space_that_there_is_not(self, composite_roots):
        with pytest.raises(LabelError, match="unknown label space 'mseg-19'"):
            open_parts(dataclasses.replace(composite(*composite_roots).data, to="mseg-19"))

    def test_several_spaces_without_a_common_one(self, composite_roots):
        plan = composite(*composite_roots)
        with pytest.raises(DataError, match=r"translate them all to one label space \(--data\.to\)"):
            feed_of(dataclasses.replace(plan, data=dataclasses.replace(plan.data, to="")))

    def test_a_split_that_a_part_does_not_have(self, composite_roots):
        plan = composite(*composite_roots)
        data = dataclasses.replace(plan.data, parts=(f"{composite_roots[1]}@train@holdout",))
        with pytest.raises(DataError, match="no split 'holdout'"):
            feed_of(dataclasses.replace(plan, data=data))


class TestShares:
    @pytest.mark.parametrize("weights", [(), (1.0, 2.0, 1.0)])
    @pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (1, 2), (2, 1), (4, 1), (2, 2)])
    def test_they_are_the_same_over_any_number_of_processes(self, composite_roots, weights, size, accumulate):
        plan = composite(
            *composite_roots, batch_size=8, accumulate=accumulate, sampling=Balanced(weights=weights)
        )
        alone = feed_of(dataclasses.replace(plan, accumulate=1))
        feeds = [feed_of(plan, rank, size) for rank in range(size)]
        total = Counter()
        for step in range(30):
            together = torch.cat([torch.cat(feed.origins(step)) for feed in feeds])
            assert torch.equal(together, alone.origins(step)[0])
            total.update(together.tolist())
        wanted = np.array(weights or (1, 1, 1)) / sum(weights or (1, 1, 1)) * 240
        assert max(abs(total[index] - share) for index, share in enumerate(wanted)) <= 1

    def test_origins_are_those_of_the_samples(self, composite_roots):
        feed = feed_of(composite(*composite_roots))
        keys = [{record.key for record in part.source.find(part.train)} for part in feed.parts]
        with feed.loader(range(3)) as loader:
            for step, sample in enumerate(loader):
                for key, origin in zip(sample.key, feed.origins(step)[0].tolist(), strict=True):
                    assert key in keys[origin]

    def test_rendered_scenes_are_one_more_and_are_translated_too(self, composite_roots, tmp_path):
        scenes = fake_camvid(tmp_path / "scenes")
        plan = composite(*composite_roots, batch_size=8)
        data = dataclasses.replace(plan.data, synthetic=Synthetic(root=str(scenes), share=0.25))
        feed = feed_of(dataclasses.replace(plan, data=data))
        assert feed.objectives == (*NAMES, "rendered")
        assert Counter(feed.origins(0)[0].tolist())[3] == 2
        assert feed.dataset.datasets[-1].source.target == space("mseg-194")

    def test_places_of_classes_are_looked_for_in_each_split(self, composite_roots, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        sampling = ClassUniform(tile=8, boost=("car",), boost_split="test")
        feed = feed_of(composite(*composite_roots, sampling=sampling))
        sizes = [len(part.source.find(part.train)) for part in feed.parts]
        assert len(feed.plan) == sum(sizes)
        assert feed.plan.images == sum(sizes) + 2
        assert set(torch.cat(feed.origins(0)).tolist()) <= {0, 1, 2}


class TestRuns:
    def test_two_processes_equal_one(self, composite_roots, tmp_path):
        top = composite_roots[0].parent
        fit(shared("composite", top), tmp_path / "one", device="cpu")
        done = torchrun(2, "composite", str(top), str(tmp_path / "two"))
        assert done.returncode == 0, done.stderr[-3000:]
        assert_same_weights(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=1e-6)
        for one, two in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
            assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
            for name in NAMES:
                assert one["vals"][name]["protocol"] == two["vals"][name]["protocol"]
                truth = [
                    {k: v["pixels"] for k, v in row["vals"][name]["classes"].items()} for row in (one, two)
                ]
                assert truth[0] == truth[1]

    def test_every_data_set_is_validated_in_the_common_space(self, composite_roots, tmp_path):
        result = fit(composite(*composite_roots), tmp_path, device="cpu")
        rows = rows_of(tmp_path)
        for row in rows:
            assert tuple(row["vals"]) == NAMES
            assert row["val"] == row["vals"]["camvid"]
            mean = np.mean([scores["miou"] for scores in row["vals"].values()])
            assert row["val_mean_miou"] == pytest.approx(mean)
        assert result.best == pytest.approx(max(row["val_mean_miou"] for row in rows))
        protocols = {name: scores["protocol"] for name, scores in rows[-1]["vals"].items()}
        assert [protocols[name]["split"] for name in NAMES] == ["test", "val", "val-cv0"]
        assert {protocol["space"] for protocol in protocols.values()} == {"mseg-194"}
        assert len(protocols["camvid"]["excluded"]) == 194 - 11
        assert len(protocols["cityscapes"]["excluded"]) == 194 - 19
        assert "road" not in protocols["camvid"]["excluded"]

    def test_weights_know_all_scores_and_licenses(self, composite_roots, tmp_path):
        result = fit(composite(*composite_roots, steps=1), tmp_path, device="cpu")
        _, card = load_package(result.weights, trust_code=True)
        assert [scores["protocol"]["dataset"] for scores in card.scores] == list(NAMES)
        for part in open_parts(composite(*composite_roots).data):
            assert part.source.license in card.license

    def test_one_data_set_has_the_row_it_always_had(self, composite_roots, tmp_path):
        plan = composite(*composite_roots, steps=1)
        data = dataclasses.replace(plan.data, parts=(f"{composite_roots[1]}@train@",))
        fit(dataclasses.replace(plan, data=data), tmp_path, device="cpu")
        row = rows_of(tmp_path)[-1]
        assert "val" in row
        assert not {"vals", "val_mean_miou", "objectives"} & set(row)

    def test_a_resumed_run_equals_one_that_was_not(self, composite_roots, tmp_path):
        plan = composite(*composite_roots)
        fit(plan, tmp_path / "whole", device="cpu")
        fit(plan, tmp_path / "parts", device="cpu", max_steps=3)
        fit(plan, tmp_path / "parts", device="cpu", resume=True)
        assert_same_weights(tmp_path / "whole", tmp_path / "parts", rtol=0, atol=0)

    def test_another_space_is_another_run(self, composite_roots, tmp_path):
        plan = composite(*composite_roots)
        fit(plan, tmp_path, device="cpu", max_steps=1)
        data = dataclasses.replace(plan.data, to="union")
        with pytest.raises(RecipeError, match=r'data\.to was "mseg-194" and is "union"'):
            fit(dataclasses.replace(plan, data=data), tmp_path, device="cpu", resume=True)

    def test_class_weights_count_all_data_sets(self, composite_roots, tmp_path, monkeypatch):
        seen = []

        def count(source, records):
            seen.append((source.name, len(records)))
            return np.ones(source.target.num_classes, np.int64)

        monkeypatch.setattr("roadseg.training.build.count_pixels", count)
        plan = composite(*composite_roots, steps=1, loss=CrossEntropy(class_weights="enet"))
        fit(plan, tmp_path, device="cpu")
        feed = feed_of(plan)
        assert seen == [(part.name, len(part.source.find(part.train))) for part in feed.parts]


@pytest.mark.parametrize("name", ["mseg-1m-unrelabeled", "naive-1m"])
def test_the_seven_data_sets_of_mseg_train_as_they_are_published(name, tmp_path, monkeypatch):
    fakes = {
        "ade20k": fake_ade20k,
        "bdd100k": fake_bdd100k,
        "cityscapes": fake_cityscapes,
        "coco-panoptic": fake_coco_panoptic,
        "idd": fake_idd,
        "mapillary": fake_mapillary,
        "sunrgbd": fake_sunrgbd,
    }
    for part, fake in fakes.items():
        fake(tmp_path / "data" / part)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = recipes.get(f"hrnet-mseg.{name}")
    shrunk = dataclasses.replace(
        plan,
        model=Model(name="tests.tiny:tiny"),
        augment=dataclasses.replace(plan.augment, pre_size=24, crop=(24, 24)),
        batch_size=7,
        devices=1,
        epochs=1,
        steps=2,
        eval_every=1,
        workers=0,
    )
    feed = feed_of(shrunk)
    assert sorted(feed.origins(0)[0].tolist()) == list(range(7))
    fit(shrunk, tmp_path / "run", device="cpu")
    row = rows_of(tmp_path / "run")[-1]
    assert set(row["vals"]) == set(fakes)
    known = {name: len(scores["protocol"]["excluded"]) for name, scores in row["vals"].items()}
    if plan.data.to == "mseg-194":  # the classes that MSeg's table gives to each
        wanted = {"ade20k": 117, "bdd100k": 19, "cityscapes": 19, "coco-panoptic": 122, "idd": 25}
        assert {name: 194 - count for name, count in known.items()} == {
            **wanted,
            "mapillary": 44,
            "sunrgbd": 37,
        }
    else:
        assert feed.source.target.num_classes == 315


class TestCaches:
    @pytest.fixture
    def caches(self, composite_roots, tmp_path):
        """A folder with a cache of each data set, in its own label space."""
        plan = composite(*composite_roots)
        for part in open_parts(dataclasses.replace(plan.data, to="")):
            build_cache(part.source, part.train, tmp_path / "fast" / part.name, workers=0)
        return tmp_path / "fast"

    @pytest.mark.parametrize("to", ["mseg-194", "union"])
    def test_a_cache_for_each_data_set_serves_every_label_space(self, composite_roots, caches, to):
        plan = composite(*composite_roots)
        plain = dataclasses.replace(plan, data=dataclasses.replace(plan.data, to=to))
        cached = dataclasses.replace(plain, data=dataclasses.replace(plain.data, cache=str(caches)))
        with feed_of(plain).loader(range(3)) as one, feed_of(cached).loader(range(3)) as other:
            for a, b in zip(one, other, strict=True):
                assert a.key == b.key
                assert torch.equal(a.image, b.image)
                assert torch.equal(a.mask, b.mask)

    def test_what_a_translated_data_set_caches_is_its_own_labels(self, composite_roots, caches):
        source = open_source(composite_roots[0])
        built = build_cache(source.to(space("mseg-194")), "train+val", caches / "camvid", workers=0)
        assert (built.made, built.kept) == (0, len(source.find("train+val")))

    def test_a_data_set_without_a_cache_is_named(self, composite_roots, caches, tmp_path):
        plan = composite(*composite_roots)
        fake_yaml(tmp_path / "mine")
        data = dataclasses.replace(plan.data, cache=str(caches), parts=(f"{tmp_path / 'mine'}@train@val",))
        with pytest.raises(DataError, match=r"holds no cache of .*mine.*roadseg data cache"):
            feed_of(dataclasses.replace(plan, data=data))
