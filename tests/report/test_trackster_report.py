"""The files of an evaluation of tracksters: the report offline, plots, tables for scripts, words beside numbers."""

from __future__ import annotations

import csv
import html
import json
import re

import numpy as np
import pytest
import torch

from hitloom.report.evaluate import evaluate_results
from hitloom.report.family import Inside, get_family
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.plots import plots_of
from hitloom.report.tracksters.sample_figures import history_curves, moving_average
from hitloom.report.tracksters.tables import BEFORE, side_by_side
from hitloom.result import Result
from trackster_toy import toy_trackster_event

SMALL = TracksterEvaluationConfig(axes=("energy",), num_resamples=50, baselines=("merge_all", "merge_none"))
HISTORY = [{"epoch": epoch, "train_loss": 1.0 / (epoch + 1), "val_loss": 1.5 / (epoch + 1)} for epoch in range(5)]


def result_of(event):
    """Return tracksters joined along true edges, some of them lost."""
    from hitloom.grouping.components import components

    generator = torch.Generator().manual_seed(int(event.event_id))
    logit = 4.0 * (event.edge_y > 0).float() - 2.0 + torch.randn(event.edge_y.shape, generator=generator)
    keep = logit > 0
    labels = components(
        event.edge_index[:, keep], logit[keep].sigmoid(), num_points=event.num_points, score_cut=0.0, min_size=1
    )
    return Result(
        event_id=int(event.event_id),
        point_id=torch.arange(event.num_points),
        labels=labels,
        edge_index=event.edge_index,
        edge_score=logit,
        timing={"network": 0.01, "total": 0.02},
    )


@pytest.fixture(scope="module")
def events():
    return [toy_trackster_event(seed, num_particles=5, num_pileup=3) for seed in range(3)]


@pytest.fixture(scope="module")
def written(events, tmp_path_factory):
    """The folder of one evaluation and its metrics."""
    folder = tmp_path_factory.mktemp("evaluation")
    inside = Inside(attributions=lambda some: {"score": {"raw_energy": 0.4, "time": 0.1}}, history=HISTORY)
    results = [result_of(event) for event in events]
    return folder, evaluate_results(results, events=events, config=SMALL, output=folder, inside=inside, name="network")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_the_page_says(written):
    folder, _ = written
    names = {path.name for path in folder.iterdir()}
    tables = {f"{name}.csv" for name in ("metrics_pooled", "metrics_binned", "metrics_per_event")}
    tables |= {f"{name}.csv" for name in ("tracksters", "candidates", "objects")}
    assert names == {"metrics.json", "report.html", "edges.txt", "plots", *tables}
    assert json.loads((folder / "metrics.json").read_text())["name"] == "network"
    assert set(json.loads((folder / "metrics.json").read_text())["baselines"]) == {"merge_all", "merge_none"}


def test_every_plot_is_a_picture_and_in_the_report(written):
    folder, metrics = written
    page = (folder / "report.html").read_text()
    for plot in plots_of(metrics, SMALL):
        assert (folder / "plots" / f"{plot.name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'id="plot-{plot.name}"' in page
    wanted = ("rate_efficiency_energy", "rate_split_energy", "overlap_map_after_signal", "edge_roc", "edge_thresholds")
    wanted += ("edge_score_log", "edge_confusion", "edge_reliability", "edge_scores_by_energy", "feature_nodes")
    wanted += ("feature_nodes_correlation", "network_losses", "network_attributions_score", "overlap_missing_per_event")
    assert set(wanted) <= {plot.name for plot in plots_of(metrics, SMALL)}


def test_the_report_loads_nothing_and_shows_every_definition(written):
    folder, metrics = written
    page = (folder / "report.html").read_text()
    assert "default-src 'none'" in html.unescape(page)
    own = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', own)
    plain = html.unescape(own)
    for name in ("rates", "overlap", "groups"):
        for text in metrics["choices"][name].values():
            assert text in plain
    for text in metrics["choices"]["edges"]["rates"].values():
        assert text in plain
    assert BEFORE in plain
    assert 'id="trackster-display"' in page


def test_the_terminal_gets_a_definition_with_every_number(written):
    _, metrics = written
    family = get_family("tracksters")
    text = "\n".join(family.summary_lines(metrics))
    for entry in metrics["headline"]["rates"].values():
        assert entry["definition"] in text
    beside = family.side_by_side_lines(metrics)
    for heading, definition in side_by_side(metrics)["columns"]:
        assert f"{heading}: {definition}" in beside
    for name in ("network", "merge_all", "merge_none"):
        assert any(line.startswith(name) for line in beside)


def test_one_row_a_trackster_candidate_and_object(written, events):
    folder, metrics = written
    tracksters, candidates, objects = (rows(folder / f"{name}.csv") for name in ("tracksters", "candidates", "objects"))
    assert len(tracksters) == sum(event.num_points for event in events)
    assert len(objects) == sum(event.num_objects for event in events)
    assert len(candidates) == sum(metrics["per_event"]["num_candidates"])
    ids = {int(row["object_id"]) for row in objects}
    assert ids == {int(number) for event in events for number in event.object_id}
    assert max(ids) > 2**53
    assert {int(row["object_id"]) for row in tracksters} <= ids | {-1}
    energy = sum(float(row["raw_energy"]) for row in candidates)
    assert energy == pytest.approx(sum(float(event.energy.double().sum()) for event in events), rel=1e-6)
    efficient = sum(float(row["largest_shared_fraction"]) >= 0.5 for row in objects if row["is_signal"] == "true")
    assert efficient == metrics["rates"]["SC"]["signal"]["efficiency"]["numerator"]


def test_binned_rows_add_up_to_the_pooled_ones(written):
    folder, metrics = written
    total = {}
    for row in rows(folder / "metrics_binned.csv"):
        key = (row["result"], row["truth"], row["class"], row["axis"], row["rate"])
        total[key] = total.get(key, 0) + int(row["denominator"])
    for (result, truth, kind, _, rate), number in total.items():
        if result == "network":
            assert number == metrics["rates"][truth][kind][rate]["denominator"]


def test_the_text_of_the_edges_says_where_it_was_made(written):
    folder, metrics = written
    text = (folder / "edges.txt").read_text()
    assert metrics["edges"]["working_point"]["text"] in text
    assert f"{metrics['decided_edges']['num_edges']:,}" in text


def test_a_second_evaluation_removes_plots_that_it_does_not_make(events, tmp_path):
    (tmp_path / "plots").mkdir()
    for name in ("rate_old.png", "mine.png"):
        (tmp_path / "plots" / name).write_bytes(b"")
    bare = SMALL.model_copy(update={"plots": False, "display": False, "tables": False, "baselines": ()})
    event = events[0]
    alone = Result(event_id=0, point_id=torch.arange(event.num_points), labels=torch.arange(event.num_points))
    evaluate_results([alone], events=[event], config=bare, output=tmp_path)
    assert not (tmp_path / "plots" / "rate_old.png").exists()
    assert (tmp_path / "plots" / "mine.png").exists()
    assert "trackster-display" not in (tmp_path / "report.html").read_text()


def test_moving_average_is_the_mean_of_the_last():
    values = np.random.default_rng(0).normal(size=20)
    expected = [values[max(0, place - 7) : place + 1].mean() for place in range(20)]
    assert np.allclose(moving_average(values, 8), expected)


def test_loss_curves_take_losses_only():
    found = history_curves([*HISTORY, {"epoch": 5, "lr": 0.1, "val_f1": 0.4}])
    assert set(found) == {"train loss", "val loss"}
    assert found["val loss"][0] == [0.0, 1.0, 2.0, 3.0, 4.0]
