"""The page on the evaluation of tracksters: its example runs, and it names every setting, file and key."""

from __future__ import annotations

import re

import pytest
import torch
from docs_page import DOCS, names_of_example

from hitloom.report.evaluate import evaluate_results
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.result import Result
from trackster_toy import toy_trackster_event

PAGE = DOCS / "linking_evaluation.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def linked():
    event = toy_trackster_event(1, num_particles=4)
    return [event], [Result(event_id=1, point_id=torch.arange(event.num_points), labels=torch.arange(event.num_points))]


def test_the_example_runs(linked):
    names = names_of_example(PAGE)
    efficiency, overlap = names["numbers"](*linked)
    assert efficiency["definition"]
    assert set(overlap) == {"SC", "CP"}


def test_every_setting_is_explained(text):
    table = text[text.index("## Settings") : text.index("## Display")]
    assert [name for name in TracksterEvaluationConfig.model_fields if f"`{name}`" not in table] == []


def test_every_key_of_the_metrics_is_explained(text, linked):
    config = TracksterEvaluationConfig(display=False, baselines=())
    metrics = evaluate_results(linked[1], events=linked[0], config=config)
    page = text[text.index("## metrics.json") :]
    general = {"definition_version", "hitloom_version", "data_fingerprint", "num_events", "name", "family"}
    assert [name for name in metrics if name not in general and not re.search(rf"`{name}\b", page)] == []
