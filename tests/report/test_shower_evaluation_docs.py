"""The page on the evaluation of shower growing: its example runs, and it names every definition, setting and key."""

from __future__ import annotations

import re

import pytest
from docs_page import DOCS, names_of_example
from shower_results import result_of, shower_views

from hitloom.metrics.hit_partition import PARTITION_DEFINITIONS
from hitloom.metrics.shower_particles import MATCH_DEFINITIONS, MERGING_DEFINITIONS
from hitloom.metrics.similarity_rates import SIMILARITY_DEFINITIONS
from hitloom.report.evaluate import evaluate_results
from hitloom.report.showers.added import ROWS
from hitloom.report.showers.collect import HITS
from hitloom.report.showers.config import ShowerEvaluationConfig

PAGE = DOCS / "shower_evaluation.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_example_runs():
    names = names_of_example(PAGE)
    events = shower_views(3)
    index, gain = names["numbers"](events, [result_of(event) for event in events])
    assert index["definition"] == PARTITION_DEFINITIONS["ari"]
    assert gain["interval"][0] <= gain["difference"] <= gain["interval"][1]


def test_every_number_stands_there_with_its_definition(text):
    tables = (PARTITION_DEFINITIONS, MERGING_DEFINITIONS, MATCH_DEFINITIONS, SIMILARITY_DEFINITIONS, ROWS, HITS)
    for definitions in tables:
        for name, meaning in definitions.items():
            assert f"| `{name}` | {meaning.replace('|', chr(92) + '|')} |" in text, name


def test_every_setting_is_explained(text):
    table = text[text.index("## Settings") : text.index("## Display")]
    assert [name for name in ShowerEvaluationConfig.model_fields if f"`{name}`" not in table] == []


def test_every_key_of_the_metrics_is_explained(text):
    events = shower_views(1)
    config = ShowerEvaluationConfig(plots=False, display=False, added=(), num_resamples=10)
    metrics = evaluate_results([result_of(event) for event in events], events=events, config=config)
    page = text[text.index("## metrics.json") :]
    general = {"definition_version", "hitloom_version", "data_fingerprint", "num_events", "name", "family"}
    assert [name for name in metrics if name not in general and not re.search(rf"`{name}\b", page)] == []
