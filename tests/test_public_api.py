"""The public names are frozen: adding one is a decision, losing one breaks users."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import roadseg

SURFACE = json.loads((Path(__file__).parent / "api_surface.json").read_text())


@pytest.mark.parametrize("module", sorted(SURFACE))
def test_public_names_are_the_frozen_ones(module):
    assert sorted(importlib.import_module(module).__all__) == SURFACE[module]


@pytest.mark.parametrize("module", sorted(SURFACE))
def test_every_public_name_exists_and_is_listed_in_order(module):
    imported = importlib.import_module(module)
    for name in imported.__all__:
        assert getattr(imported, name) is not None
    assert set(imported.__all__) <= set(dir(imported))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="unicorn"):
        _ = roadseg.unicorn


def test_importing_the_package_imports_no_torch():
    code = "import sys, roadseg, roadseg.labels, roadseg.recipes, roadseg.media; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def natural(name: str) -> list[str | int]:
    """Numbers in names by their value, as ruff sorts them."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def test_every_module_lists_its_public_names_sorted():
    root = Path(roadseg.__file__).parent
    for file in sorted(root.rglob("*.py")):
        module = ".".join(["roadseg", *file.relative_to(root).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
        if module.endswith("__main__"):
            continue
        names = getattr(importlib.import_module(module), "__all__", None)
        assert names is not None, f"{module} has no __all__"
        order = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), natural(n)))
        assert list(names) == order, f"{module}.__all__ is not sorted"
