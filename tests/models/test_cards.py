"""The cards of the catalog and the layouts, as far as they speak of other rooms."""

import dataclasses
import json

import pytest

from roadseg.labels import space, space_names
from roadseg.models import catalog
from roadseg.models.layouts import layouts
from roadseg.recipes import Preprocess
from tests.write_model_figures import FILE
from tests.write_model_table import FILE as TABLE
from tests.write_model_table import page


def test_table_of_networks_is_up_to_date() -> None:
    assert TABLE.read_text(encoding="utf-8") == page(), "run python -m tests.write_model_table"


def test_figures_cover_the_catalog() -> None:
    assert set(json.loads(FILE.read_text(encoding="utf-8"))) == set(catalog.names())


@pytest.mark.parametrize("layout", layouts(), ids=lambda layout: layout.name)
def test_conventions_can_be_used(layout) -> None:
    assert layout.title
    assert layout.source.startswith("https://") or layout.name.startswith("roadseg/")
    assert layout.marks
    for num_classes, convention in layout.conventions.items():
        assert convention.labels in space_names()
        assert space(convention.labels).is_contiguous
        assert space(convention.labels).num_classes == num_classes
        preprocess = Preprocess(**convention.preprocess)
        assert min(preprocess.std) > 0
        assert dataclasses.replace(preprocess) == preprocess


@pytest.mark.parametrize("layout", layouts(), ids=lambda layout: layout.name)
def test_marks_are_kept_by_renaming(layout) -> None:
    ours = layout.to_ours(layout.marks)
    back = layout.to_theirs(ours.values())
    assert [back[name] for name in ours.values()] == list(layout.marks)
