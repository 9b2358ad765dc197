"""Pruning through the command line on toy tracksters: train every mode, infer in batches and one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hitloom.data.results import open_results
from hitloom.data.store import EventWriter
from pruning_toy import toy_trackster

FAST = ("--set", "training.max_epochs=1", "--set", "model.hidden=8", "--set", "training.accelerator=cpu")
FAST += ("--set", "data.split=[16,5,9]", "--set", "data.batch_size=4")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pruning") / "store"
    with EventWriter(path, provenance={"made": "by hand"}) as writer:
        for seed in range(30):
            writer.write(toy_trackster(1 + seed % 11, seed))
    return path


@pytest.mark.parametrize("name", ["autoregressive", "multistep", "tree", "onepass", "nodes"])
def test_inference_in_batches_gives_what_single_tracksters_give(cli, store, tmp_path, name):  # defect 9
    run = tmp_path / "run"
    outcome = cli("train", f"pruning-small-{name}", store, "-o", run, *FAST, "--set", "data.bucket_by_size=true")
    assert outcome.code == 0, outcome.err
    folders = []
    for size in (None, 1, 5):
        folders.append(tmp_path / f"results-{size}")
        options = () if size is None else ("--batch-size", size)
        outcome = cli("infer", run, store, "-o", folders[-1], "-a", "cpu", "--split", "test", *options)
        assert outcome.code == 0, outcome.err
    many, single, five = (list(open_results(folder, "test")) for folder in folders)
    assert len(single) == 9
    for results in (many, five):
        for ours, theirs in zip(results, single, strict=True):
            assert ours.event_id == theirs.event_id
            assert torch.equal(ours.labels, theirs.labels)
            torch.testing.assert_close(ours.point_score, theirs.point_score, atol=1e-5, rtol=1e-5)
            assert ours.timing["total"] > 0


def test_systems_of_single_events_refuse_batches(cli, tmp_path):
    from trackster_toy import toy_trackster_event

    with EventWriter(tmp_path / "store", provenance={}) as writer:
        writer.write(toy_trackster_event(0, num_particles=3, num_pileup=0))
    outcome = cli("infer", "linking-small", tmp_path / "store", "-o", tmp_path / "out", "--batch-size", "4")
    assert outcome.code == 2
    assert "'linking' takes one event at a time" in outcome.err


def test_a_stopped_inference_goes_on_after_its_last_batch(cli, store, tmp_path, monkeypatch):
    run = tmp_path / "run"
    assert cli("train", "pruning-small-nodes", store, "-o", run, *FAST).code == 0
    from hitloom.training.infer import infer
    from hitloom.training.reconstruct import Reconstructor

    calls, whole = [], Reconstructor.batch

    def counted(self, events, **options):
        calls.append(len(events))
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return whole(self, events, **options)

    options = {"output": tmp_path / "out", "splits": ["test"], "accelerator": "cpu", "batch_size": 4}
    monkeypatch.setattr(Reconstructor, "batch", counted)
    with pytest.raises(RuntimeError, match="power cut"):
        infer(run, store, **options)
    monkeypatch.setattr(Reconstructor, "batch", whole)
    report = infer(run, store, **options)
    assert (report.kept["test"], report.written["test"]) == (4, 5)
    assert len(open_results(tmp_path / "out", "test")) == 9
