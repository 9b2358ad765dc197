"""The documentation page names every rate, match, preset and budget entry, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hitloom.metrics import (
    BUDGET_DEFINITIONS,
    CONFUSION,
    DEFINITION_VERSION,
    EDGE_DEFINITIONS,
    GRAPH_DEFINITIONS,
    MATCHES,
    PRESETS,
    RATES,
)
from hitloom.metrics.edge_stages import STAGE_DEFINITIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_every_name_is_documented(page):
    words = set(re.findall(r"`([^`\n]+)`", page))
    words |= {word.removesuffix(".<match>") for word in words}
    names = [*RATES, *PRESETS, *BUDGET_DEFINITIONS, *GRAPH_DEFINITIONS, *CONFUSION]
    names += [*EDGE_DEFINITIONS, *STAGE_DEFINITIONS]
    names += [match for match in MATCHES if not match.startswith("one_to_one_")]
    assert [name for name in names if name not in words] == []
    assert f"now {DEFINITION_VERSION})" in page


def test_example_runs(page, capsys):
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    exec(compile(code, str(PAGE), "exec"), {})
    assert "'definition'" in capsys.readouterr().out
