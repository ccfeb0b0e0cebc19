import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "fast-scnn.camvid", "--batch-size", 0], "Recipe.batch_size: cannot be 0; give 1 or more"),
        (
            ["train", "fast-scnn.camvid", "--optim.lr", 0],
            "AdamW.lr: cannot be 0.0; give a number above 0",
        ),
        (
            ["train", "fast-scnn.camvid", "--synthetic", "streets", "--data.synthetic.share", 2],
            "Synthetic.share: cannot be 2.0; give a number from 0 to 1",
        ),
        (["motion", "train", "sdcnet2d-small.streets", "--flip", 2], "VideoPrediction.flip: cannot be 2.0"),
    ],
)
def test_senseless_values_are_one_sentence(run, arguments, words):
    result = run(*arguments, "--dry-run")
    assert result.code == 2
    assert words in result.sentence
