import subprocess
import sys

import pytest

from roadseg.data.sources import LAYOUTS
from roadseg.errors import InputError
from roadseg.metrics.means import harmonic
from roadseg.reporting.scoreboard import (
    Cell,
    Row,
    Scoreboard,
    best_of,
    published,
    published_names,
    rendered,
)

DATA = ("camvid", "kitti")


def row(name: str, *scores: float | None) -> Row:
    return Row.of(name, [Cell(score, 720) for score in scores])


def board() -> Scoreboard:
    first, second = row("a_1", 0.5, 0.25), row("b&c|d<e", 0.4, 0.7)
    other = published("mseg-zero-shot").row("MSeg-1m", DATA)
    return Scoreboard(DATA, (first, second, other, second.minus(other)), ("A note of 5 %.",))


def test_the_best_size_is_taken_and_named():
    assert best_of({360: 0.2, 720: 0.5, 1080: 0.4}) == Cell(0.5, 720, ((360, 0.2), (720, 0.5), (1080, 0.4)))
    assert best_of({360: 0.5, 720: 0.5}).base == 360
    assert best_of({360: None, 720: 0.1}).score == 0.1
    assert best_of({720: 0.3}) == Cell(0.3, None, ((720, 0.3),))
    assert best_of({360: None}) == Cell()


def test_means_are_over_all_data_sets_or_none():
    assert row("a", 0.25, 0.75).means["harmonic"] == pytest.approx(0.375)
    assert row("a", 0.25, None).means == {}
    assert row("a", 0.0, 0.5).means["harmonic"] == 0


@pytest.mark.parametrize("name", published_names())
def test_published_means_follow_from_published_scores(name):
    """All scores are rounded to a tenth, so small ones leave the mean some room."""
    table = published(name)
    assert "mseg-semantic" in table.source
    assert "10.1109/TPAMI.2022.3151200" in table.source
    assert table.license
    assert len(table.means) >= 8
    assert set(table.columns) <= {layout.NAME for layout in LAYOUTS}
    for network, mean in table.means.items():
        scores = [score for score in table.rows[network] if score is not None]
        assert len(scores) == len(table.columns)
        low, high = (harmonic([max(0.0, score + d) for score in scores]) for d in (-0.05, 0.05))
        assert low - 0.06 <= mean <= high + 0.06, network


def test_published_tables_are_those_of_the_facts(shared):
    facts = (shared / "facts" / "mseg.md").read_text(encoding="utf-8")
    plain = "".join(facts.split())
    for name, mark in (("mseg-zero-shot", "|"), ("mseg-training", "/"), ("mseg-zero-shot-multi-scale", "/")):
        table = published(name)
        for network, scores in table.rows.items():
            words = [*("-" if score is None else f"{score:.1f}" for score in scores)]
            words += [f"{table.means[network]:.1f}"] if network in table.means else []
            assert mark.join(words) in plain, (name, network)


def test_a_published_row_by_the_name_of_weights():
    table = published("mseg-zero-shot")
    assert table.row_like("hrnet-mseg.mseg-3m-720p") == "MSeg-3m-720p"
    assert table.row_like("mseg_1m_unrelabeled") == "MSeg-1m unrelabeled"
    assert table.row_like("mine") == "MSeg-3m-480p"  # the best
    found = table.row("MSeg-1m", ["kitti", "nowhere", "camvid"])
    assert [cell.score for cell in found.cells] == [pytest.approx(0.67), None, pytest.approx(0.833)]
    assert found.means == {}
    assert published("mseg-zero-shot").row("Oracle-1m", ["wilddash1"]).cells == (Cell(),)


def test_unknown_tables_and_rows_are_refused():
    with pytest.raises(InputError, match="choose among mseg-training, mseg-zero-shot"):
        published("mseg")
    with pytest.raises(InputError, match="its rows are ADE20K-1m"):
        published("mseg-zero-shot").row("MSeg-9m", DATA)


def test_differences_are_signed_and_in_points():
    grid = board().grid()
    assert grid[0] == ["percent", *DATA, "harmonic mean", "arithmetic mean", "geometric mean"]
    assert grid[1][:4] == ["a_1", "50.0 (720)", "25.0 (720)", "33.3"]
    assert grid[3][:3] == ["published MSeg-1m", "83.3", "67.0"]
    assert grid[4][0] == "b&c|d<e - published MSeg-1m"
    assert grid[4][1:3] == ["-43.3", "+3.0"]


def test_markdown():
    lines = rendered(board(), ".md").splitlines()
    assert lines[0].startswith("| percent | camvid | kitti |")
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert "**50.0** (720)" in lines[2]
    assert "b&c\\|d<e" in lines[3]
    assert "**70.0** (720)" in lines[3]
    assert "**" not in lines[4] + lines[5]
    assert lines[-1] == "A note of 5 %."


def test_latex():
    text = rendered(board(), ".tex")
    assert "\\begin{tabular}{lrrrrr}" in text
    assert "a\\_1 & \\textbf{50.0} (720) & 25.0 (720)" in text
    assert "b\\&c|d<e & 40.0 (720)" in text
    assert text.startswith("% A note of 5 %.\n")


def test_html_needs_nothing_else():
    text = rendered(board(), ".html")
    assert "<strong>70.0</strong> (720)" in text
    assert "b&amp;c|d&lt;e" in text
    assert "<th scope=row>a_1</th>" in text
    assert "http" not in text.partition("<main>")[2].replace("10.1109", "")


def test_json_holds_what_was_tried():
    found = Scoreboard(("camvid",), (Row.of("a", [best_of({360: 0.2, 720: 0.5})]),)).to_json()
    assert found["rows"][0]["scores"] == [{"miou": 0.5, "base": 720, "by_base": {"360": 0.2, "720": 0.5}}]
    assert found["rows"][0]["means"]["harmonic"] == pytest.approx(0.5)


def test_tables_are_made_without_torch():
    code = "import sys, roadseg.reporting.scoreboard as s; s.published('mseg-training'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
