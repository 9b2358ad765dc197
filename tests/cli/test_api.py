"""The Python API mirrors the verbs."""

from __future__ import annotations

from pathlib import Path

import torch

from hitloom import api
from hitloom.data.results import open_results


def test_four_lines_from_weights_to_numbers(workshop: Path):
    system = api.load(workshop / "run")
    events = api.read_events(workshop / "store")
    results = [system(event) for event in events]
    metrics = api.evaluate(results, events, settings={"num_resamples": 10, "display": False, "scan": False})
    assert metrics["num_events"] == len(events) == 9
    assert metrics["headline"]["rates"]["efficiency.double_majority"]["denominator"] == 9 * 4  # pt > 1 GeV


def test_a_result_in_memory_equals_the_one_on_disk(workshop: Path, tmp_path: Path):
    report = api.infer(workshop / "run", workshop / "store", output=tmp_path, splits=["val"])
    assert report.written == {"val": 2}
    assert len(report.seconds) == 2
    system, events = api.load(workshop / "run"), api.read_events(workshop / "store")
    by_id = {int(event.event_id): event for event in events}
    for stored in open_results(tmp_path, "val"):
        own = system(by_id[stored.event_id])
        assert torch.equal(own.labels, stored.labels)
        assert own.embedding is not None
        assert stored.embedding is not None
        assert torch.equal(own.embedding, stored.embedding)


def test_training_continues_where_it_ended(workshop: Path, tmp_path: Path):
    outcome = api.train(
        workshop / "recipe.yaml", workshop / "store", output=tmp_path / "run", overrides=["training.max_epochs=1"]
    )
    assert outcome.best_value == 1.0
    again = api.train(tmp_path / "run", overrides=["training.max_epochs=2"], resume=True)
    assert again.metrics.keys() == outcome.metrics.keys()
