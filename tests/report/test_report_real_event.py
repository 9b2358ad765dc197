"""The real thinned TrackML event: its published counts come out of the evaluation, its ids survive into the display."""

from __future__ import annotations

import pytest
import torch

from hitloom.data.trackml_read import read_trackml
from hitloom.report.classify import view_of
from hitloom.report.config import EvaluationConfig
from hitloom.report.display import figure_3d
from hitloom.report.evaluate import evaluate_results
from hitloom.report.phoenix import phoenix_event
from hitloom.result import Result

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def perfect(test_data):
    event = next(read_trackml(test_data / "trackml-thinned"))
    labels = event.object_index.clone()
    return event, Result(event_id=int(event.event_id), point_id=event.point_id, labels=labels)


def test_published_counts(perfect):
    event, result = perfect
    assert event.num_points == 5527
    config = EvaluationConfig(scan=False, display=False, axes=(), presets=("headline", "eggnet"), num_resamples=5)
    metrics = evaluate_results([result], events=[event], config=config)
    entry = metrics["presets"]["eggnet"]["pt>=1.0"]["efficiency.purity50"]
    assert (entry["numerator"], entry["denominator"]) == (54, 54)
    strict = metrics["headline"]["rates"]["efficiency.double_majority"]
    assert (strict["numerator"], strict["denominator"]) == (42, 42)
    assert metrics["trackml_score"]["value"] == pytest.approx(1.0)
    assert metrics["trackml_score"]["denominator"] == pytest.approx(0.051, abs=5e-4)
    assert metrics["headline"]["rates"]["fake_per_track.double_majority"]["denominator"] == 431


def test_ids_and_layers_of_the_display(perfect):
    event, result = perfect
    view = view_of(event, result)
    assert len(view.surfaces) == 48
    assert sum(surface.is_disk for surface in view.surfaces) == 38
    largest = int(event.object_id[torch.unique(event.object_index)[1:]].max())
    assert largest > 2**53
    row = event.object_index.tolist().index(event.object_id.tolist().index(largest))
    assert view.ids()[row] == str(largest)
    texts = [text for trace in figure_3d(view).data for text in trace.text or ()]
    assert len(texts) == event.num_points
    assert any(f"particle {largest} " in text for text in texts)
    written = phoenix_event(view)
    assert str(largest) in {hit["particle_id"] for hits in written["Hits"].values() for hit in hits}
