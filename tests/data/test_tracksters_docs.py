"""The page on tracksters names every feature and rate, in order, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

from hitloom.data.trackster_features import NODE_FEATURES, SKELETON_EDGE_FEATURES
from hitloom.metrics.edge_energy import EDGE_ENERGY_DEFINITIONS
from hitloom.metrics.energy_overlap import OVERLAP_DEFINITIONS
from hitloom.metrics.trackster_rates import TRACKSTER_RATES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tracksters.md").read_text(encoding="utf-8")


def test_every_feature_in_contract_order():
    words = re.findall(r"`([^`\n]+)`", PAGE)
    for names in (NODE_FEATURES, SKELETON_EDGE_FEATURES):
        places = [words.index(name) for name in names]
        assert places == sorted(places)


def test_every_rate_is_defined():
    words = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {*TRACKSTER_RATES, *OVERLAP_DEFINITIONS, *EDGE_ENERGY_DEFINITIONS} <= words


def test_example_runs(capsys):
    code = re.search(r"```python\n(.*?)```", PAGE, re.S).group(1)
    exec(compile(code, "docs/tracksters.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["[[0], [1]] [1.0]", "1.0 0.0"]
