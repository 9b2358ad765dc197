"""Trackster linking through the command line on generated events: train, infer, evaluate, compare, display."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hitloom.data.results import open_results
from hitloom.data.store import EventStore, EventWriter
from trackster_toy import toy_trackster_event

FEW_PLOTS = ("--set", "axes=[]", "--set", "num_resamples=20", "--set", "display=false")
FAST = ("--set", "training.max_epochs=1", "--set", "model.hidden=8", "--set", "model.edge_hidden=8")
FAST += ("--set", "training.num_threads=1", "--set", "training.accelerator=cpu", "--set", "data.split=[4,1,1]")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("linking") / "store"
    with EventWriter(path, provenance={"made": "by hand"}) as writer:
        for seed in range(6):
            writer.write(toy_trackster_event(seed, num_particles=4, num_pileup=2))
    return path


def test_train_infer_evaluate_and_display(cli, store, tmp_path):
    run, results = tmp_path / "run", tmp_path / "results"
    assert cli("train", "linking-small", store, "-o", run, *FAST).code == 0
    assert cli("infer", run, store, "-o", results, "-a", "cpu").code == 0
    stored = open_results(results, "test")
    assert stored.meta["save_edges"] is True
    threshold = stored.meta["grouping"]["threshold"]
    result = next(iter(stored))
    event = next(event for event in EventStore(store) if event.event_id == result.event_id)
    assert torch.equal(result.edge_index, event.edge_index)
    assert result.edge_score.shape == event.edge_y.shape

    outcome = cli("eval", results, "--checkpoint", run, *FEW_PLOTS, "--set", "baselines=[merge_none]")
    assert outcome.code == 0, outcome.err
    assert "official rates, SC, signal" in outcome.out
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["family"] == "tracksters"
    assert metrics["edges"]["working_point"]["cuts"][0][1] == threshold
    assert set(metrics["attributions"]["values"]) == {"score", "encoder"}
    assert len(metrics["history"]) == 1
    assert (results / "plots" / "network_losses.png").exists()

    shown = cli("display", results)
    assert shown.code == 0
    page = next(results.glob("event-*.html")).read_text()
    assert 'id="trackster-display"' in page
    refused = cli("display", results, "--phoenix", tmp_path / "event.json")
    assert refused.code == 2
    assert "not for tracksters" in refused.err

    bare = tmp_path / "bare"
    assert cli("infer", run, store, "-o", bare, "-a", "cpu", "--split", "test", "--no-save-edges").code == 0
    assert next(iter(open_results(bare))).edge_index is None


def test_compare_baselines(cli, store, tmp_path):
    out = tmp_path / "out"
    few = (*FEW_PLOTS, "--set", "baselines=[]", "--set", "tables=false", "--set", "plots=false", "--limit", "3")
    outcome = cli("compare", store, "skeleton", "merge-all", "none=merge-none", "-o", out, *few)
    assert outcome.code == 0, outcome.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["name"] == "skeleton"
    assert set(metrics["baselines"]) == {"merge_all", "none"}
    assert metrics["num_events"] == 3
    assert outcome.out.count("edge F1") >= 2
    again = cli("eval", out / "results" / "skeleton", "--family", "tracksters", "-o", tmp_path / "again", *few[:-2])
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--set", "eps=0.3"), "eps"),
        (("--family", "hadrons"), "unknown family of evaluation 'hadrons'"),
        (("--family", "showers"), "is no event of this kind"),
        (("--set", "truths=[MC]"), "truths"),
    ],
)
def test_wrong_settings_are_one_line(cli, store, tmp_path, arguments, text):
    outcome = cli("compare", store, "merge-none", "-o", tmp_path / "out", *arguments)
    assert outcome.code == 2
    assert text in outcome.err
    assert "Traceback" not in outcome.err
