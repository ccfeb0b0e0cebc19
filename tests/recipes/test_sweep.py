import dataclasses
import re
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg import recipes
from roadseg.errors import RecipeError
from roadseg.recipes.changes import changes, flat
from roadseg.recipes.sweep import Member, expand, from_python, read_toml

PLAN = """
recipe = "fast-scnn.camvid"
data = "camvid/"

[flags]
epochs = 30
optim.weight-decay = 0.01
augment.crop = [256, 320]

[grid]
optim.lr = [0.01, 0.02]
seed = [0, 1]
"""


def planned(**plan):
    return expand({"recipe": "r", **plan}, "plan")


def test_the_grid_is_expanded_in_the_order_of_its_keys(tmp_path):
    path = tmp_path / "lr.toml"
    path.write_text(PLAN)
    members = read_toml(path)
    assert [member.name for member in members] == [
        "lr=0.01,seed=0",
        "lr=0.01,seed=1",
        "lr=0.02,seed=0",
        "lr=0.02,seed=1",
    ]
    fixed = "fast-scnn.camvid --data camvid/ --epochs 30 --optim.weight-decay 0.01 --augment.crop 256 320"
    assert shlex.join(members[1].arguments) == f"{fixed} --optim.lr 0.01 --seed 1"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ema", 0.9, ["--ema", "0.9"]),
        ("select_best", True, ["--select-best"]),
        ("select-best", False, ["--no-select-best"]),
        ("--engine.compile", False, ["--engine.no-compile"]),
        ("clip-norm", None, []),
        ("clip-norm", "None", []),
        ("clip-norm", ["None"], ["--clip-norm", "None"]),
        ("workers", -1, ["--workers", "-1"]),
        ("freeze", ["backbone", "head"], ["--freeze", "backbone", "head"]),
        ("freeze", [], ["--freeze"]),
        ("model.options.dropout", 0.1, ["--model.options", "dropout=0.1"]),
        ("model.options.aux", ["stem"], ["--model.options", "aux=stem,"]),
        ("model.options.bias", False, ["--model.options", "bias=false"]),
    ],
)
def test_values_become_words_of_a_command_line(name, value, words):
    (member,) = planned(flags={name: value})
    assert member.arguments == ("r", *words)


def test_options_of_the_network_are_gathered():
    (member,) = planned(flags={"model": {"options": {"dropout": 0.1, "width": 32}}, "seed": 1})
    assert member.arguments == ("r", "--seed", "1", "--model.options", "dropout=0.1", "width=32")


def test_variants_inherit_and_override():
    members = planned(
        flags={"epochs": 3},
        grid={"seed": [0, 1], "optim.lr": [0.1]},
        variants=[
            {},
            {"flags": {"seed": 7}},
            {"grid": {"epochs": [5, 6]}, "flags": {"seed": 9}},
            {"recipe": "other", "skip": True},
        ],
    )
    assert [(m.name, dict(m.flags)) for m in members] == [
        ("seed=0,lr=0.1", {"epochs": 3, "seed": 0, "optim.lr": 0.1}),
        ("seed=1,lr=0.1", {"epochs": 3, "seed": 1, "optim.lr": 0.1}),
        ("seed=7,lr=0.1", {"epochs": 3, "seed": 7, "optim.lr": 0.1}),
        ("seed=9,lr=0.1,epochs=5", {"seed": 9, "optim.lr": 0.1, "epochs": 5}),
        ("seed=9,lr=0.1,epochs=6", {"seed": 9, "optim.lr": 0.1, "epochs": 6}),
    ]


def test_recipes_and_data_can_be_varied():
    members = expand({"grid": {"recipe": ["a.x", "f.py:night"], "data": ["one/", "two"]}}, "plan")
    assert [m.name for m in members] == ["a.x,data=one", "a.x,data=two", "night,data=one", "night,data=two"]
    assert members[2].arguments == ("f.py:night", "--data", "one/")


def test_tags_name_the_runs_and_are_not_passed_on():
    members = planned(tag="{optim.lr}-{batch_size}", grid={"optim.lr": [0.1, 0.2], "batch-size": [4]})
    assert [m.name for m in members] == ["0.1-4", "0.2-4"]
    assert members[0].arguments == ("r", "--optim.lr", "0.1", "--batch-size", "4")
    # Where the tag does not tell the runs apart, the varied values do.
    assert [m.name for m in planned(tag="a b", grid={"seed": [0, 1]})] == ["a-b,seed=0", "a-b,seed=1"]
    with pytest.raises(RecipeError, match=r"plan: the tag names \{lr\}, which the runs do not set"):
        planned(tag="{lr}", grid={"optim.lr": [0.1]})


def test_short_names_are_spelled_out_where_they_are_ambiguous():
    (member,) = planned(grid={"data.val": ["a"], "other.val": [["b", "c"]], "clip-norm": ["None"]})
    assert member.name == "data.val=a,other.val=bxc,clip-norm=default"


def test_an_added_value_leaves_the_other_names_as_they_were():
    one, two = planned(grid={"seed": [0]}), planned(grid={"seed": [0, 1]})
    assert one[0].name == two[0].name == "seed=0"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=130), min_size=1, max_size=6, unique=True))
def test_names_are_unique_and_safe_as_folders(values):
    members = planned(grid={"data.val": values} if "None" not in values else {"seed": [1]})
    names = [member.name.casefold() for member in members]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][\w.,=+-]{0,120}", name) for name in names)
    assert all(shlex.quote(member.name) == member.name for member in members)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"recipe": ""}, "names no recipe"),
        ({"flag": {}}, "has an unknown key 'flag'; did you mean flags?"),
        ({"optim": {}}, "has an unknown key 'optim'"),
        ({"flags": 3}, "flags is not a table"),
        ({"grid": {"seed": 3}}, "grid: seed is no list of values"),
        ({"grid": {"seed": []}}, "grid: seed is no list of values"),
        ({"grid": {"seed": [1]}, "flags": {"seed": 2}}, "seed is both fixed and in the grid"),
        ({"grid": {"seed": [1, 1]}}, "plans the run seed=1 twice"),
        ({"variants": {}}, "variants is not a list of tables"),
        ({"variants": [{"skip": True}]}, "plans no runs"),
        ({"flags": {"out": "x"}}, "--out is not for the runs of a sweep"),
    ],
)
def test_plans_that_are_none(plan, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        planned(**plan)


def test_files_that_are_no_plan(tmp_path):
    with pytest.raises(RecipeError, match="there is no such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(RecipeError, match=r"bad\.toml: is not TOML"):
        read_toml(tmp_path / "bad.toml")


def test_recipes_from_python_are_named_by_what_differs():
    base = recipes.get("fast-scnn.camvid")
    other = dataclasses.replace(base, optim=recipes.SGD(lr=0.1))
    bold = dataclasses.replace(base, loss=recipes.Ohem())
    members = from_python((base, other, bold), "f.py:sweep")
    assert [m.name for m in members] == [
        "loss=CrossEntropy,optim=AdamW",
        "loss=CrossEntropy,optim=SGD",
        "loss=Ohem,optim=AdamW",
    ]
    assert [m.arguments for m in members] == [(f"f.py:sweep[{i}]",) for i in range(3)]
    assert [m.name for m in from_python(iter([base, recipes.get("espnet.camvid")]), "f.py:sweep")] == [
        "fast-scnn.camvid",
        "espnet.camvid",
    ]


def test_pairs_and_plans_from_python():
    found = from_python(
        [("a run", {"recipe": "r", "optim": {"lr": 0.1}, "freeze": ["x", "y"]})], "f.py:sweep"
    )
    assert found == (Member(name="a-run", recipe="r", flags={"optim.lr": 0.1, "freeze": ["x", "y"]}),)
    assert len(from_python({"recipe": "r", "grid": {"seed": [0, 1]}}, "f.py:sweep")) == 2


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (3, "gives a int, not the runs of a sweep"),
        ("text", "gives a str"),
        ([3], "gives 3 among the runs"),
        ([("name", {"seed": 1})], "f.py:sweep: name: names no recipe"),
        ([], "plans no runs"),
    ],
)
def test_python_that_plans_nothing(found, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        from_python(found, "f.py:sweep")


def test_changes_name_what_trains_something_else():
    base = recipes.get("fast-scnn.camvid")
    moved = dataclasses.replace(base, workers=3, data=dataclasses.replace(base.data, root="elsewhere"))
    assert changes(base.to_json(), moved.to_json()) == ()
    other = dataclasses.replace(base, epochs=3, clip_norm=None)
    assert changes(base.to_json(), other.to_json()) == (
        "epochs was 160 and is 3",
        "clip_norm was 10.0 and is not set",
    )
    assert flat({"a": {"b": [1, {}], "c": {}}, "d": 1}) == {"a.b": [1, {}], "d": 1}


def with_data(**values):
    base = recipes.get("fast-scnn.camvid")
    return dataclasses.replace(base, data=dataclasses.replace(base.data, **values)).to_json()


def test_data_and_weights_elsewhere_may_be_other_ones():
    base = recipes.get("fast-scnn.camvid")
    model = dataclasses.replace(base.model, weights="w.pt")
    before, now = base.to_json(), dataclasses.replace(base, model=model).to_json()
    assert changes(before, now) == ()
    assert changes(before, now, moved=False) == ('model.weights was not set and is "w.pt"',)
    before, now = with_data(root="a", parts=("b",), cache="c"), with_data(root="d", parts=("e",), cache="f")
    assert changes(before, now) == ()
    assert set(changes(before, now, moved=False)) == {
        'data.root was "a" and is "d"',
        'data.parts was ["b"] and is ["e"]',
    }


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (("/there/b@train", "at@home/c@plus1@"), True),
        ((), False),
        (("b@train",), False),
        (("b@train", "c"), False),
        (("b@val", "c@plus1@"), False),
    ],
)
def test_further_data_sets_may_move_but_not_become_others(now, same):
    before = with_data(parts=("b@train", "c@plus1@"))
    assert (changes(before, with_data(parts=now)) == ()) is same


def test_plans_from_before_there_were_further_data_sets():
    before = with_data()
    del before["data"]["parts"]
    assert changes(before, with_data()) == ()
    assert changes(before, with_data(parts=("b",))) == ('data.parts was [] and is ["b"]',)
