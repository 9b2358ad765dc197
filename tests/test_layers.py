"""Imports run strictly downward: the floors of the design, checked from the source text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "hitloom"

FLOORS = [
    {"event", "_validate", "result", "units", "config", "registry", "errors", "stopwatch", "_version"},
    {"ops"},
    {"nn", "losses", "grouping", "metrics"},
    {"simulate", "data"},
    {"systems", "baselines"},
    {"training", "export", "report"},
    {"api"},
    {"cli"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
# The simulation writes what the readers define: features, truth edges, stores.
ALLOWED_SIDEWAYS = {("simulate", "data")}


def imports_of(path: Path) -> set[str]:
    """Return the first-level hitloom packages that a file imports, at any depth of the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "hitloom":
                names = [f"hitloom.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("hitloom.")}
    return found


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downward(path: Path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for other in imports_of(path):
        if other == own or other.startswith("__"):
            continue
        assert other in FLOOR_OF, f"{path.name} imports unknown package hitloom.{other}"
        downward = FLOOR_OF[other] < FLOOR_OF[own]
        same_core = FLOOR_OF[other] == FLOOR_OF[own] == 0
        assert downward or same_core or (own, other) in ALLOWED_SIDEWAYS, f"{own} must not import {other}"


def test_every_package_has_a_floor():
    names = {
        path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for path in modules()
        if path.name != "__init__.py" or path.parent != SOURCE
    }
    assert names - {"__init__", "__main__", "recipes"} <= set(FLOOR_OF)


def test_systems_never_import_each_other():
    for path in (SOURCE / "systems").rglob("*.py"):
        own = path.relative_to(SOURCE / "systems").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hitloom.systems."):
                other = (node.module or "").split(".")[2]
                assert other in {own, "base", "staged"}, f"{own} imports system {other}"


def test_only_training_imports_lightning():
    for path in modules():
        if path.relative_to(SOURCE).parts[0] == "training":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] in {"lightning", "pytorch_lightning"} for name in names), path


def test_no_module_over_400_lines():
    too_long = {str(path): n for path in modules() if (n := len(path.read_text().splitlines())) > 400}
    assert not too_long
