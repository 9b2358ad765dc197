"""Edges in the report: the stages of a chain, the curve of the embedding, the table, the plots, the notice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from report_toy import toy_events, toy_result

from hitloom.metrics import edge_counts, edge_quality, label_edges, truth_edges_of, truth_from_event
from hitloom.ops.radius import radius_graph
from hitloom.report.config import EvaluationConfig
from hitloom.report.edge_figures import map_figure, radius_figure, rates_figure, roc_figure, score_figure
from hitloom.report.evaluate import evaluate_results
from hitloom.result import Graph

CONFIG = EvaluationConfig(
    scan=False, display=False, presets=("headline",), axes=("pt",), num_resamples=10, radius_neighbours=(2, 8)
)
NO_SCORES = {"false_positive_rate": [], "true_positive_rate": [], "score": []}


def with_truth_edges(event):
    """Consecutive hits of each particle by distance from the origin, inner hit first."""
    owner, distance = event.object_index.numpy(), (event.pos.numpy() ** 2).sum(axis=1)
    order = np.lexsort((distance, owner))
    order = order[owner[order] >= 0]
    same = owner[order[1:]] == owner[order[:-1]]
    event.truth_edge_index = torch.as_tensor(np.stack([order[:-1][same], order[1:][same]]))
    return event


def chain_of(event):
    """A graph, a filter and a cut on it, as a staged pipeline builds them."""
    rng = np.random.default_rng(int(event.event_id))
    embedding = toy_result(event).embedding
    edges = radius_graph(embedding, 0.3, once=True).edge_index()
    same = event.object_index[edges[0]] == event.object_index[edges[1]]
    score = torch.as_tensor(rng.uniform(0, 0.7, edges.shape[1]), dtype=torch.float32) + 0.3 * same
    kept = score > 0.35
    return [
        Graph(name="graph", edge_index=edges, edge_score=score, bounding=True),
        Graph(name="filter", edge_index=edges[:, kept], edge_score=score[kept], bounding=True),
        Graph(name="gnn", edge_index=edges[:, score > 0.8], bounding=True),
    ]


@pytest.fixture(scope="module")
def events():
    return [with_truth_edges(event) for event in toy_events(2, num_particles=40)]


@pytest.fixture(scope="module")
def written(events, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges")
    config = CONFIG.model_copy(update={"truth_selected_input": True})
    results = [toy_result(event) for event in events]
    return folder, evaluate_results(results, events=events, config=config, graphs=chain_of, output=folder)


def test_every_graph_has_its_numbers(written, events):
    _, metrics = written
    stages = metrics["edges"]["stages"]
    assert [stage["name"] for stage in stages] == ["graph", "filter", "gnn"]
    totals = [{}, {}, {}]
    for event in events:
        truth = truth_from_event(event)
        target = (truth.pt > 1) & (np.abs(truth.eta) < 2.5) & (truth.num_points >= 3)
        true = truth_edges_of(truth, target)
        for total, graph in zip(totals, chain_of(event), strict=True):
            for name, value in edge_counts(label_edges(graph.edge_index, true, truth.num_hits), true).items():
                total[name] = total.get(name, 0) + value
    for stage, total in zip(stages, totals, strict=True):
        for name, entry in edge_quality(total).items():
            assert stage[name] == entry
    assert [stage["scores"] is None for stage in stages] == [False, False, True]


def test_the_budget_follows_the_chain(written):
    _, metrics = written
    stages = metrics["loss_budget"]["stages"]
    assert [(stage["name"], stage["bounding"]) for stage in stages] == [
        ("network input", True),
        ("embedding kNN, k = 10", False),
        ("graph", True),
        ("filter", True),
        ("gnn", True),
        ("grouping", True),
    ]
    bounding = [stage for stage in stages if stage["bounding"]]
    left = [stage["cumulative"]["numerator"] for stage in bounding]
    total = bounding[0]["cumulative"]["denominator"]
    assert [stage["lost_here"] for stage in bounding] == [a - b for a, b in zip([total, *left], left, strict=False)]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-2]  # the toy's cuts lose something, so the test sees a loss


def test_radius_curve_is_that_of_the_stored_embedding(written, events):
    curve = written[1]["radius_curve"]
    largest = curve["curves"][-1]
    assert [item["num_neighbours"] for item in curve["curves"]] == [2, 8]
    place = len(curve["radius"]) // 2
    total = {}
    for event in events:
        truth = truth_from_event(event)
        true = truth_edges_of(truth, (truth.pt > 1) & (np.abs(truth.eta) < 2.5) & (truth.num_points >= 3))
        graph = radius_graph(toy_result(event).embedding, curve["radius"][place], max_neighbours=8)
        for name, value in edge_counts(label_edges(graph.edge_index(), true, truth.num_hits), true).items():
            total[name] = total.get(name, 0) + value
    for name in ("edge_efficiency.target", "total_purity"):
        entry = edge_quality(total)[name]
        assert (largest[name]["numerator"][place], largest[name]["denominator"][place]) == (
            entry["numerator"],
            entry["denominator"],
        )
    assert largest["edge_efficiency.target"]["value"][-1] > 0.9


def test_the_space_of_the_graph_comes_before_that_of_the_result(events):
    """Twice as large a space, two points of which no cut let through: half the radius, and they take no part."""
    event = events[0]
    result = toy_result(event)

    def in_its_own_space(event):
        space = 2 * result.embedding
        space[:2] = float("nan")
        return [Graph(name="graph", edge_index=torch.zeros(2, 0, dtype=torch.int64), embedding=space)]

    config = CONFIG.model_copy(update={"max_radius": 0.4})
    own = evaluate_results([result], events=[event], config=config, graphs=in_its_own_space)["radius_curve"]
    half = CONFIG.model_copy(update={"max_radius": 0.2})
    seen = torch.arange(event.num_points) >= 2
    labels = torch.where(seen, result.labels, -1)
    cut = evaluate_results([replace(result, labels=labels, in_input=seen)], events=[event], config=half)["radius_curve"]
    assert np.allclose(own["radius"], 2 * np.array(cut["radius"]))
    assert own["curves"][1]["num_edges"] == cut["curves"][1]["num_edges"]
    assert own["curves"][1]["edge_efficiency.target"] == cut["curves"][1]["edge_efficiency.target"]


def test_plots_and_table_are_in_the_report(written):
    folder, metrics = written
    names = {path.stem for path in (folder / "plots").glob("edge_*.png")}
    assert names == {
        *("edge_roc", "edge_radius", "edge_cut_graph", "edge_cut_filter", "edge_scores_graph", "edge_scores_filter"),
        *("edge_efficiency_pt", "edge_efficiency_r", "edge_efficiency_z"),
        *("edge_purity_r", "edge_purity_z", "edge_purity_hit_eta"),
        *("edge_map_efficiency", "edge_map_target_purity", "edge_map_total_purity", "edge_map_masked_purity"),
    }
    page = (folder / "report.html").read_text()
    for text in ("Edges by stage", "target purity", "total purity", "masked purity", 'id="plot-edge_roc"'):
        assert text in page
    stored = json.loads((folder / "metrics.json").read_text())
    assert stored["edges"]["stages"][0]["target_purity"] == metrics["edges"]["stages"][0]["target_purity"]


@pytest.mark.parametrize("selected", [True, False])
def test_pictures_carry_the_notice_and_nothing_else(events, tmp_path, monkeypatch, selected):
    from hitloom.report import write

    seen = []
    monkeypatch.setattr(write, "to_png", lambda figure: seen.append(figure) or b"")
    config = CONFIG.model_copy(update={"truth_selected_input": selected, "radius_neighbours": ()})
    evaluate_results([toy_result(events[0])], events=events, config=config, output=tmp_path)
    texts = {text.get_text() for figure in seen for text in figure.texts}
    assert texts == ({"truth-selected input"} if selected else set())


def test_scored_edges_of_results_in_memory_are_a_graph(events):
    event = events[0]
    result = toy_result(event)
    edges = radius_graph(result.embedding, 0.3, once=True).edge_index()
    logit = torch.linspace(-3, 3, edges.shape[1])

    given = replace(result, edge_index=edges, edge_score=logit)
    metrics = evaluate_results([given], events=[event], config=CONFIG)
    (stage,) = metrics["edges"]["stages"]
    assert stage["name"] == "scored edges"
    counts = stage["scores"]["histogram"]["counts"]
    below = sum(sum(values[:25]) for values in counts.values())
    assert below == int((logit < 0).sum())  # logits became probabilities
    without = evaluate_results([result], events=[event], config=CONFIG)
    assert without["edges"] is None


def test_a_collapsed_embedding_is_said(events):
    event = events[0]

    def random_pairs(event):
        rng = np.random.default_rng(0)
        return [Graph(name="graph", edge_index=torch.as_tensor(rng.integers(0, event.num_points, (2, 4000))))]

    metrics = evaluate_results([toy_result(event)], events=[event], config=CONFIG, graphs=random_pairs)
    assert any("no better than random pairs: 'graph'" in text for text in metrics["diagnostics"])
    sound = evaluate_results([toy_result(event)], events=[event], config=CONFIG, graphs=chain_of)
    assert not any("random pairs" in text for text in sound["diagnostics"])


def test_figures_without_anything_say_so():
    def words(figure):
        return [text.get_text() for axes in figure.axes for text in axes.texts]

    nothing = {"value": [None, None], "low": [None, None], "high": [None, None]}
    assert words(roc_figure({"a": {"full": NO_SCORES, "masked": NO_SCORES}})) == [
        "no stage has scores of true and of false edges"
    ]
    assert words(rates_figure([0, 1], {"a": nothing}, x_label="cut")) == ["no true edge, or no edge at all"]
    empty = {"edges": [0, 1], "counts": {"false": [0], "other_true": [0], "target_true": [0]}}
    assert words(score_figure(empty)) == ["no edge has a score"]
    panel = {"numerator": [[0]], "denominator": [[0]]}
    assert words(map_figure({"graph": panel}, [0, 1], [0, 1], label="rate")) == ["no entries"]


def test_figures_draw_what_they_are_given():
    curve = {"false_positive_rate": [0.0, 0.1, 1.0], "true_positive_rate": [0.0, 0.8, 1.0], "score": [1.0, 0.5, 0.0]}
    axes = roc_figure({"a": {"full": curve, "masked": NO_SCORES}}).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [0.0, 0.8, 1.0]
    panel = {"numerator": [[1, 0], [0, 3]], "denominator": [[2, 0], [4, 3]]}
    drawn = map_figure({"graph": panel}, [0, 1, 2], [0, 1, 2], label="rate").axes[0].collections[0].get_array()
    assert drawn.filled(-1).tolist() == [[0.5, -1.0], [0.0, 1.0]]
    curves = [{"num_neighbours": k, "x": {"value": [0.1 * k, 0.2 * k]}, "saturated": [0.0, 0.5]} for k in (1, 2)]
    upper = radius_figure(
        [0.1, 0.2], [c | {"edge_efficiency.target": c["x"]} for c in curves], ("edge_efficiency.target",)
    )
    assert [line.get_ydata().tolist() for line in upper.axes[0].lines] == [[0.2, 0.4], [0.1, 0.2]]
