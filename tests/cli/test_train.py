import json
import os
import signal
import sys
from pathlib import Path

import pytest

from roadseg.cli.train import Train, find_recipe
from roadseg.errors import RecipeError
from roadseg.models import read_card
from roadseg.recipes import Model
from tests.cli.conftest import SIZE
from tests.fakes import fake_camvid

SMALL = (
    *(
        "--model.name",
        "tests.tiny:tiny",
        "--augment.crop",
        16,
        24,
        "--augment.scale",
        1,
        1,
        "--batch-size",
        4,
    ),
    *("--epochs", 2, "--ema", 0, "--workers", 0, "--eval-every", 1, "--loss.class-weights", "none"),
    *("--device", "cpu"),
)


@pytest.fixture
def recipe_file(tmp_path, monkeypatch):
    """A user's recipe: ours with another network, whose options ours does not have."""
    path = tmp_path / "my_runs.py"
    path.write_text(
        "import dataclasses\n"
        "from roadseg import recipes\n\n\n"
        "def night():\n"
        "    model = recipes.Model(name='tests.tiny:tiny', options={'dropout': 0.0})\n"
        "    return dataclasses.replace(recipes.get('fast-scnn.camvid'), name='mine.night', model=model)\n\n\n"
        "def nothing():\n"
        "    return 3\n\n\n"
        "def typo():\n"
        "    return dataclasses.replace(night(), optimm=3)\n"
    )
    monkeypatch.delitem(sys.modules, "my_runs", raising=False)
    return path


def test_a_run_from_start_to_end(run, camvid, recipe_file):
    result = run("train", f"{recipe_file}:night", "--data", camvid, *SMALL)
    assert result.code == 0
    assert result.out.startswith("done, best validation mIoU ")
    out = Path("runs/mine.night")
    assert "roadseg predict street.jpg --weights runs/mine.night/" in result.out
    recipe = json.loads((out / "run.json").read_text())["recipe"]
    assert recipe["epochs"] == 2
    assert recipe["augment"]["crop"] == [16, 24]
    assert recipe["data"]["root"] == str(camvid)
    assert read_card(out / "last.safetensors")["model"] == "tests.tiny:tiny"
    scores = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    assert len(scores) == 2
    assert "mIoU" in scores[0]


def test_json_stop_and_resume(run, camvid, recipe_file):
    arguments = ("train", f"{recipe_file}:night", "--data", camvid, *SMALL, "-o", "run", "--json", "--quiet")
    first = run(*arguments, "--max-steps", 1)
    assert (first.code, first.err) == (0, "")
    assert (first.json["steps"], first.json["finished"]) == (1, False)
    again = run(*arguments)
    assert again.code == 2
    assert again.sentence.startswith("roadseg: error: run: holds a run already; go on with it by --resume")
    resumed = run(*arguments, "--resume")
    assert resumed.code == 0
    assert resumed.json["finished"]
    other = run(*arguments, "--resume", "--optim.lr", "0.5")
    assert other.code == 2
    assert "the run was started with another recipe: optim.lr was 0.002 and is 0.5" in other.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to itself")
def test_interruption_saves_and_says_how_to_go_on(run, camvid, recipe_file, monkeypatch):
    from roadseg.cli import train

    def stepped(_self, _step, _loss, _lr):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(train.TrainProgress, "stepped", stepped)
    result = run("train", f"{recipe_file}:night", "--data", camvid, *SMALL, "-o", "run")
    assert result.code == 130
    assert result.sentence == (
        "roadseg: interrupted; the state of step 1 is saved: go on with the same command and --resume"
    )
    assert Path("run/last.pt").is_file()


def test_only_the_first_process_talks(run, camvid, monkeypatch):
    from roadseg.training import FitResult

    def fit(_recipe, _out, *, report, **_options):
        report.started(0, 10)
        report.validated(1, {"miou": 0.5}, True)
        return FitResult(steps=2, finished=True, best=0.5, weights=Path("best.safetensors"))

    monkeypatch.setattr("roadseg.training.fit", fit)
    assert "done, best validation mIoU 50.00" in run("train", "fast-scnn.camvid", "--data", camvid).out
    monkeypatch.setenv("RANK", "1")
    for asked in ((), ("--dry-run",)):
        result = run("train", "fast-scnn.camvid", "--data", camvid, "--json", *asked)
        assert (result.code, result.out, result.err) == (0, "", "")


def test_flags_change_the_recipe():
    command = Train.from_arguments(
        [
            *("fast-scnn.camvid", "--optim.lr", "0.5", "--model.options", "aux=stem,", "--data", "d"),
            *(
                "--synthetic",
                "s",
                "--data.synthetic.share",
                "0.5",
                "--augment.crop",
                "32",
                "64",
                "--clip-norm",
                "None",
            ),
        ]
    )
    base, found = find_recipe("fast-scnn.camvid"), command.resolve()
    assert found.optim.lr == 0.5
    assert found.model.options == {**base.model.options, "aux": ("stem",)}
    assert (found.data.root, found.data.synthetic.root, found.data.synthetic.share) == ("d", "s", 0.5)
    assert (found.augment.crop, found.clip_norm) == ((32, 64), None)
    assert (found.name, found.paper, found.expects) == (base.name, base.paper, base.expects)
    assert Train.from_arguments(["fast-scnn.camvid"]).resolve() == base


def test_another_network_has_options_and_weights_of_its_own():
    def network(recipe, *flags):
        return Train.from_arguments([recipe, "--model.name", "swiftnet-resnet18", *flags]).resolve().model

    assert network("fast-scnn.camvid-fine") == Model(name="swiftnet-resnet18")
    given = ("--model.options", "align_corners=false", "--model.weights", "trunk.pth")
    expected = Model(name="swiftnet-resnet18", options={"align_corners": False}, weights="trunk.pth")
    assert network("bisenet-resnet18.cityscapes", *given) == expected


def test_plan(run, camvid):
    arguments = ("train", "fast-scnn.camvid", "--data", camvid, "--dry-run")
    plan = run(*arguments, "--json").json
    recipe = find_recipe("fast-scnn.camvid")
    assert (plan["images"], plan["validation"]) == (10, 2)
    assert plan["steps"] == recipe.epochs * max(1, 10 // recipe.batch_size)
    assert plan["rates"]["peak"] == pytest.approx(recipe.optim.lr, rel=0.05)
    assert plan["rates"]["last"] < 0.1 * plan["rates"]["peak"]
    assert plan["memory"]["activations"] > plan["memory"]["state"] > 4 * plan["memory"]["params"]
    assert plan["missing"] == []
    words = run(*arguments)
    assert words.code == 0
    assert "10 to train on (train+val), 2 to validate on (test)" in words.out
    assert "leave out --dry-run to train" in words.out
    assert not Path("runs").exists()


def test_plan_says_what_is_missing(run):
    result = run("train", "fast-scnn.camvid", "--dry-run")
    assert result.code == 1
    assert "missing    no data is given to train on" in result.out


def test_memory_of_a_plan_counts_what_backward_needs():
    torch = pytest.importorskip("torch")
    import dataclasses

    from roadseg.recipes import Model, Ohem
    from roadseg.training.memory import estimate_memory

    recipe = dataclasses.replace(
        find_recipe("fast-scnn.camvid"), model=Model(name="tests.tiny:tiny"), ema=0.0
    )
    memory = estimate_memory(recipe, 11)
    height, width = recipe.augment.crop
    # Input, two convolutions' inputs and ReLUs at strides 2 and 4.
    pixels = recipe.batch_size * height * width
    least = 4 * pixels * (3 + 8 / 4 + 8 / 16)
    assert 0.99 * least <= memory.activations <= 2 * least
    # A loss that needs all pixels at once has logits, their log-softmax and their gradient at the size of the crop.
    mined = estimate_memory(dataclasses.replace(recipe, loss=Ohem()), 11)
    assert mined.activations - memory.activations == 4 * pixels * 11 * 3
    model = torch.nn.Conv2d(3, 8, 3)
    assert memory.params > sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fast-scnn.camvid"], "no data is given to train on; add --data FOLDER"),
        (["fast-scnn.camvid", "--data", "nowhere"], "nowhere: does not exist"),
        (["fast-scnn.camvd"], "there is no recipe 'fast-scnn.camvd'"),
        (["--dry-run", "fast-scnn.camvid"], "name the recipe first"),
        (["none.py:f"], "none.py: there is no such file"),
        (["no.such.module:f"], "cannot import no.such.module"),
        ([":f"], ":f names neither a file nor a module; give FILE.py:FUNCTION"),
        (["roadseg.recipes:names"], "names gives a tuple, not a Recipe"),
        (["roadseg.recipes:nothing"], "has no function 'nothing'"),
        (["fast-scnn.camvid", "--data", "CAMVID", "--data.synthetic.share", "0.1"], "needs a folder"),
        (["fast-scnn.camvid", "--data", "CAMVID", "--data.val", "vla"], "has no split 'vla'"),
        (["fast-scnn.camvid", "--data", "CAMVID", "--model.options", "depth=3"], "has no option depth"),
        (
            ["fast-scnn.camvid", "--data", "CAMVID", "--accumulate", 5],
            "cannot be split evenly over 1 processes x 5",
        ),
        (["fast-scnn.camvid", "--data", "CAMVID", "--eval-every", 0], "validations cannot be 0 epochs apart"),
        (
            ["fast-scnn.camvid", "--data", "CAMVID", "--augment.scale", 2, 1],
            "scale must be an increasing range",
        ),
        (["fast-scnn.camvid", "--data", "CAMVID", "--model.weights", "none"], "none: is neither a file nor"),
    ],
)
def test_requests_that_cannot_be_met(run, camvid, arguments, words):
    result = run("train", *(camvid if item == "CAMVID" else item for item in arguments), "--workers", 0)
    assert result.code == 2
    assert words in result.sentence


def test_unknown_values_are_usage_errors(run):
    result = run("train", "fast-scnn.camvid", "--optim.lrr", "1")
    assert result.code == 2
    assert "--optim.lr" in result.err


def test_broken_recipe_files(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(RecipeError, match=r"cannot be run \(ZeroDivisionError"):
        find_recipe(f"{tmp_path / 'broken.py'}:f")


def test_recipe_functions_that_fail(run, recipe_file):
    result = run("train", f"{recipe_file}:typo")
    assert result.code == 2
    assert f"{recipe_file}: typo cannot be run (TypeError: " in result.sentence
    assert "'optimm'" in result.sentence


def test_data_with_an_unreadable_label(run, tmp_path, recipe_file):
    root = fake_camvid(tmp_path / "data", size=SIZE)
    broken = sorted((root / "trainannot").iterdir())[0]
    broken.write_bytes(b"")
    result = run("train", f"{recipe_file}:night", "--data", root, *SMALL)
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {broken}: is empty (0 bytes)")


def test_help_of_train_lists_the_recipes(run):
    result = run("train", "--help")
    assert result.code == 0
    assert "`roadseg recipes` lists the recipes" in result.out
    assert "--optim.lr" in run("train", "fast-scnn.camvid", "--help").out
