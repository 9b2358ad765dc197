"""The page on the evaluation of pruning: its example runs, and it names every definition, setting and key."""

from __future__ import annotations

import re

import pytest
from docs_page import DOCS, names_of_example
from pruning_results import result_of, tracksters

from hitloom.metrics.pruning_counts import GROUPS
from hitloom.metrics.pruning_probability import PROBABILITY_DEFINITIONS
from hitloom.metrics.pruning_rates import RATE_DEFINITIONS
from hitloom.metrics.pruning_samples import SAMPLE_DEFINITIONS
from hitloom.report.evaluate import evaluate_results
from hitloom.report.pruning.config import PruningEvaluationConfig

PAGE = DOCS / "pruning_evaluation.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_example_runs():
    names = names_of_example(PAGE)
    events = tracksters(8)
    f1, gain = names["numbers"](events, [result_of(event) for event in events])
    assert f1["definition"] == RATE_DEFINITIONS["f1"]
    assert gain["interval"][0] <= gain["difference"] <= gain["interval"][1]


def test_every_number_stands_there_with_its_definition(text):
    for definitions in (RATE_DEFINITIONS, PROBABILITY_DEFINITIONS, SAMPLE_DEFINITIONS, GROUPS):
        for name, meaning in definitions.items():
            assert f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" in text, name


def test_every_setting_is_explained(text):
    table = text[text.index("## Settings") : text.index("## Display")]
    assert [name for name in PruningEvaluationConfig.model_fields if f"`{name}`" not in table] == []


def test_every_key_of_the_metrics_is_explained(text):
    events = tracksters(4)
    config = PruningEvaluationConfig(plots=False, display=False, baselines=(), num_resamples=10)
    metrics = evaluate_results([result_of(event) for event in events], events=events, config=config)
    page = text[text.index("## metrics.json") :]
    general = {"definition_version", "hitloom_version", "data_fingerprint", "num_events", "name", "family"}
    assert [name for name in metrics if name not in general and not re.search(rf"`{name}\b", page)] == []
