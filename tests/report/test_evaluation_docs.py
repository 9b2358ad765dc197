"""The page on evaluation: its example runs, and it names every setting, file and plot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from hitloom.report.config import EvaluationConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_example_runs(text, capsys):
    torch.manual_seed(0)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    assert "'numerator'" in capsys.readouterr().out


def test_every_setting_is_explained(text):
    table = text[text.index("## Settings") : text.index("## Plots")]
    missing = [name for name in EvaluationConfig.model_fields if f"`{name}`" not in table]
    assert missing == []


def test_every_key_of_the_metrics_is_explained(text):
    from report_toy import toy_events, toy_result

    from hitloom.report.evaluate import evaluate_results

    event = toy_events(1, num_particles=20)[0]
    config = EvaluationConfig(scan=False, display=False, knn_k=None, presets=("headline",), axes=())
    metrics = evaluate_results([toy_result(event)], events=[event], config=config)
    page = text[text.index("## metrics.json") :] + text[: text.index("## Settings")]
    plain = {"definition_version", "hitloom_version", "data_fingerprint", "num_events"}
    missing = [name for name in metrics if name not in plain and not re.search(rf"`{name}\b", page)]
    assert missing == []
