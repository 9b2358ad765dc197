"""The stages of the chain against what the publication says of them, and the defects of the reference."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.edge_labels import same_object
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.losses.squared import squared_distance
from hitloom.result import Scores
from hitloom.systems.exatrkx import EdgeFilter, EdgeGNN, ExaTrkX, MetricLearning
from hitloom.systems.exatrkx.config import (
    EmbeddingConfig,
    ExaTrkXConfig,
    FilterConfig,
    GNNConfig,
    GraphConfig,
    PairsConfig,
    SamplingConfig,
    TruthConfig,
)
from hitloom.systems.exatrkx.filter import sample_edges
from hitloom.systems.exatrkx.graph import build_graph, outward_edges, outward_order
from hitloom.systems.exatrkx.pairs import hard_pairs, query_points, random_partners, training_pairs
from hitloom.systems.exatrkx.truth import EdgeTruth, signal_edges, truth_of
from tracker_toy import TINY, graph_event, rich_event, tracker_event


def as_set(edges: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges.T}


# ---------------------------------------------------------------- pairs of metric learning


def test_drawn_pairs_are_labelled_by_truth_and_every_signal_edge_comes_in_both_directions():
    event = tracker_event(64, 1)
    z = torch.nn.functional.normalize(torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    config = PairsConfig(query="all", num_neighbours=8, radius=1.0, num_random=3)
    pairs = training_pairs(z, event, query_points(event, event.truth_edge_index, config), config, TruthConfig())
    truth = as_set(event.truth_edge_index) | as_set(event.truth_edge_index.flip(0))
    for (a, b), positive in zip(pairs.index.T.tolist(), pairs.positive.tolist(), strict=True):
        assert positive == ((a, b) in truth)
        assert a != b  # defect 10: a hit is never paired with itself
    appended = pairs.index[:, -2 * event.truth_edge_index.shape[1] :]
    assert as_set(appended) == truth
    drawn = pairs.index[:, : -2 * event.truth_edge_index.shape[1]]
    assert len(as_set(drawn)) == drawn.shape[1]


def test_hard_negatives_are_the_nearest_within_the_radius():
    event = tracker_event(48, 2)
    z = torch.randn(48, 3, generator=torch.Generator().manual_seed(1))
    config = PairsConfig(query="all", num_neighbours=5, radius=0.8, num_random=0)
    pairs = training_pairs(z, event, torch.arange(48), config, TruthConfig())
    distance = torch.cdist(z, z)
    wanted = set()
    for row in range(48):
        order = [int(other) for other in distance[row].argsort() if other != row][:5]
        wanted |= {(row, other) for other in order if distance[row, other] <= 0.8}
    assert as_set(pairs.index[:, : -2 * event.truth_edge_index.shape[1]]) == wanted


def test_a_share_of_the_hard_pairs_is_a_share_and_not_a_radius():
    """Defect 13."""
    event = tracker_event(200, 2)
    z = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    whole = hard_pairs(z, event, torch.arange(200), PairsConfig(num_neighbours=20, radius=0.5))
    torch.manual_seed(0)
    part = hard_pairs(z, event, torch.arange(200), PairsConfig(num_neighbours=20, radius=0.5, hard_share=0.25))
    assert as_set(part) < as_set(whole)
    assert 0.2 < part.shape[1] / whole.shape[1] < 0.3
    kept = (z[part[0]] - z[part[1]]).norm(dim=1)
    assert float(kept.max()) > 0.4  # long pairs are among them


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("signal", "on edges"), ("signal-and-noise", "on edges or noise"), ("all", "all")],
)
def test_query_points(query: str, wanted: str):
    event = tracker_event(64, 3)
    on_edges = set(event.truth_edge_index.reshape(-1).tolist())
    noise = set((event.object_index < 0).nonzero()[:, 0].tolist())
    rows = set(query_points(event, event.truth_edge_index, PairsConfig(query=query)).tolist())
    assert rows == {"on edges": on_edges, "on edges or noise": on_edges | noise, "all": set(range(64))}[wanted]


def test_at_most_points_per_batch_ask_and_only_the_points_of_pairs_carry_gradients():
    config = build(EmbeddingConfig, TINY["exatrkx-embedding"] | {"pairs": {"points_per_batch": 10, "radius": 0.3}})
    event = tracker_event(64, 4)
    rows = query_points(event, event.truth_edge_index, config.pairs)
    assert len(rows) == 10
    torch.manual_seed(3)
    stage = MetricLearning(config).train()
    scores = stage(event)
    assert scores.embedding is not None
    assert not scores.embedding.requires_grad
    loss = stage.loss(scores, event).total
    loss.backward()
    assert all(parameter.grad is not None for parameter in stage.parameters())


def test_the_two_ways_of_embedding_give_one_loss():
    event = tracker_event(64, 5)
    losses = []
    for points in (1000, 63):
        pairs = {"points_per_batch": points, "radius": 0.3, "num_random": 0, "query": "signal"}
        torch.manual_seed(3)
        stage = MetricLearning(build(EmbeddingConfig, TINY["exatrkx-embedding"] | {"pairs": pairs})).train()
        losses.append(stage.loss(stage(event), event).total.detach())
    torch.testing.assert_close(losses[0], losses[1])


def test_random_partners_stay_within_their_event():
    batch = Batch.from_data_list([tracker_event(20, 1), tracker_event(33, 2)])
    torch.manual_seed(0)
    pairs = random_partners(batch, torch.arange(53), 20)
    assert torch.equal(batch.batch[pairs[0]], batch.batch[pairs[1]])
    assert bool((pairs[0] != pairs[1]).all())
    counts = torch.bincount(pairs[1][batch.batch[pairs[0]] == 0], minlength=20)
    assert bool((counts > 0).all())  # every other point of an event can be drawn
    alone = Event(pos=torch.zeros(1, 3))
    assert random_partners(alone, torch.tensor([0]), 4).shape == (2, 0)


# ---------------------------------------------------------------- truth of edges


@pytest.mark.parametrize("kind", ["negative", "positive", "ignore"])
def test_pairs_of_one_particle_that_are_not_consecutive(kind: str):
    event = tracker_event(48, 6)
    every = torch.combinations(torch.arange(48)).T
    truth = truth_of(every, event, TruthConfig(same_object=kind))
    consecutive = truth_of(every, event, TruthConfig()).signal
    between = same_object(every, event) & ~consecutive
    assert int(between.sum()) > 20
    assert bool(truth.signal[consecutive].all())
    assert bool(truth.signal[between].all()) == (kind == "positive")
    assert bool((truth.weight[between] == 0).all()) == (kind == "ignore")
    noise = (event.object_index[every] < 0).any(0)
    assert not bool(truth.signal[noise].any())  # defect 9: noise is never the same particle


def test_signal_follows_the_rules_and_truth_is_made_anew_where_asked():
    event = rich_event(64, 7)
    event.object_pt = torch.linspace(0.1, 3.0, event.num_objects)
    rules = [{"weight": 2, "conditions": {"object_pt": [1.0, ".inf"]}}]
    edges, weight = signal_edges(event, build(TruthConfig, {"weighting": rules}))
    pt = event.object_pt[event.object_index[edges[0]]]
    assert bool((pt >= 1).all())
    assert bool((weight == 2).all())
    made, _ = signal_edges(event, build(TruthConfig, {"definition": "layerwise"}))
    assert made.shape[1] > 0


# ---------------------------------------------------------------- graphs


@given(seed=st.integers(0, 500))
@settings(deadline=None, max_examples=25)
def test_outward_edges_do_not_depend_on_the_order_of_the_hits(seed: int):
    generator = torch.Generator().manual_seed(seed)
    pos = torch.randint(-2, 3, (12, 3), generator=generator).float()  # many hits at one distance
    pos = torch.unique(pos, dim=0)
    num = len(pos)
    edges = torch.randint(num, (2, 40), generator=generator)
    order = torch.randperm(num, generator=generator)
    place = torch.empty_like(order)
    place[order] = torch.arange(num)
    first = outward_edges(edges, pos)
    second = outward_edges(place[edges.flip(0)], pos[order])
    assert as_set(order[second]) == as_set(first)
    distance = outward_order(pos)
    assert bool((distance[first[0]] <= distance[first[1]]).all())
    assert not {(b, a) for a, b in as_set(first)} & as_set(first)


def test_the_graph_is_every_pair_within_the_radius_once():
    event = tracker_event(60, 8)
    z = torch.randn(60, 3, generator=torch.Generator().manual_seed(2))
    graph = build_graph(z, event, GraphConfig(radius=0.7, max_neighbours=59))
    within = (torch.cdist(z, z) <= 0.7).triu(1).nonzero()
    assert {tuple(sorted(edge)) for edge in as_set(graph.edge_index)} == as_set(within.T)
    assert graph.edge_index.shape[1] == len(within)
    assert graph.saturated == 0


def test_saturation_is_the_share_of_hits_without_room():
    event = tracker_event(30, 9)
    z = torch.zeros(30, 2)
    z[:5] += 10 * torch.arange(5)[:, None]
    graph = build_graph(z, event, GraphConfig(radius=0.5, max_neighbours=3))
    assert graph.saturated == pytest.approx(26 / 30)  # 25 hits and the one that did not move lie on one place


def test_no_edge_within_a_module_where_forbidden():
    event = rich_event(64, 10)
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(4))
    free = build_graph(z, event, GraphConfig(radius=1.0)).edge_index
    vetoed = build_graph(z, event, GraphConfig(radius=1.0, forbid_same_module=True)).edge_index
    same = (event.layer[free[0]] == event.layer[free[1]]) & (event.module[free[0]] == event.module[free[1]])
    assert int(same.sum()) > 0
    assert as_set(vetoed) == as_set(free[:, ~same])


def test_the_radius_for_an_efficiency_is_the_quantile_of_true_distances():
    graph = {"target_efficiency": 0.8, "max_radius": 2.0}
    stage = MetricLearning(build(EmbeddingConfig, TINY["exatrkx-embedding"] | {"graph": graph})).eval()
    events = [tracker_event(64, seed) for seed in range(3)]
    radius = stage.calibrate(events)["graph"]["radius"]
    with torch.no_grad():
        distance = torch.cat(
            [squared_distance(stage(event).embedding, event.truth_edge_index).sqrt() for event in events]
        )
    kept = float((distance <= radius).float().mean())
    assert kept >= 0.8
    assert float((distance < radius * (1 - 1e-6)).float().mean()) < 0.8


def test_a_radius_out_of_reach_is_said(caplog: pytest.LogCaptureFixture):
    graph = {"target_efficiency": 0.99, "max_radius": 1e-4}
    stage = MetricLearning(build(EmbeddingConfig, TINY["exatrkx-embedding"] | {"graph": graph})).eval()
    with caplog.at_level(logging.WARNING, "hitloom"):
        assert stage.calibrate([tracker_event(64, 1)]) == {"graph": {"radius": 1e-4}}
    assert "above graph.max_radius" in caplog.text


# ---------------------------------------------------------------- filter


def test_the_sample_holds_all_signal_and_so_many_negatives():
    generator = torch.Generator().manual_seed(0)
    signal = torch.zeros(1000, dtype=torch.bool)
    signal[:50] = True
    weight = torch.ones(1000)
    weight[900:] = 0
    probability = torch.rand(1000, generator=generator)
    truth = EdgeTruth(signal=signal, weight=weight)
    torch.manual_seed(1)
    rows = sample_edges(truth, probability, SamplingConfig(ratio=4, hard_cut=0.5))
    assert set(range(50)) <= set(rows.tolist())
    negatives = rows[rows >= 50]
    assert len(negatives) == 200
    assert len(torch.unique(rows)) == len(rows)
    assert int(rows.max()) < 900  # masked edges are never drawn
    assert int((probability[negatives] > 0.5).sum()) >= 100
    few = sample_edges(truth, probability * 0.1, SamplingConfig(ratio=4, hard_cut=0.5))
    assert len(few) == 250  # without hard negatives, easy ones fill up


def test_the_cut_keeps_the_wanted_share_of_signal():
    config = build(FilterConfig, TINY["exatrkx-filter"] | {"target_efficiency": 0.9, "sampling": {"method": "all"}})
    stage = EdgeFilter(config).eval()
    events = [graph_event(64, seed) for seed in range(3)]
    cut = stage.calibrate(events)["cut"]
    found = total = 0
    for event in events:
        with torch.no_grad():
            edges, logit = stage(event).scored_edges()
        signal = truth_of(edges, event, config.truth).signal
        found, total = found + int((logit[signal].sigmoid() > cut).sum()), total + int(signal.sum())
    assert 0.9 <= found / total <= 0.9 + 2 / total + 1e-9


def test_chunks_of_edges_do_not_change_scores():
    event = graph_event(64, 3)
    torch.manual_seed(0)
    whole = EdgeFilter(build(FilterConfig, TINY["exatrkx-filter"])).eval()
    parts = EdgeFilter(build(FilterConfig, TINY["exatrkx-filter"] | {"chunk_edges": 7})).eval()
    parts.load_state_dict(whole.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(parts(event).edge_score, whole(event).edge_score)


def test_batch_normalisation_is_never_chunked():
    """Defect 37: scores would depend on how the graph is cut."""
    event = graph_event(64, 3)
    shape = TINY["exatrkx-filter"] | {"batchnorm": True, "layernorm": "none"}
    torch.manual_seed(0)
    whole = EdgeFilter(build(FilterConfig, shape)).eval()
    parts = EdgeFilter(build(FilterConfig, shape | {"chunk_edges": 7})).eval()
    parts.load_state_dict(whole.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(parts(event).edge_score, whole(event).edge_score)


def test_a_filter_that_keeps_nothing_says_why(caplog: pytest.LogCaptureFixture):
    stage = EdgeFilter(build(FilterConfig, TINY["exatrkx-filter"] | {"cut": 0.9999})).eval()
    with caplog.at_level(logging.WARNING, "hitloom"):
        result = stage.decide(graph_event(48, 1))
    assert result.edge_index.shape == (2, 0)
    assert "no edges" in caplog.text
    assert "filter.cut 0.9999" in caplog.text


# ---------------------------------------------------------------- graph network and tracks


def test_tracks_of_perfect_scores_are_the_particles():
    event = graph_event(64, 4)
    config = TINY["exatrkx-gnn"] | {"segmentation": {"method": "components"}}
    stage = EdgeGNN(build(GNNConfig, config)).eval()
    signal = truth_of(event.edge_index, event, TruthConfig()).signal
    logit = torch.where(signal, 9.0, -9.0)
    labels = stage.reconstruct(Scores(edge_index=event.edge_index, edge_score=logit), event).labels
    for particle in range(event.num_objects):
        own = labels[event.object_index == particle]
        assert len(torch.unique(own)) == 1
    assert bool((labels[event.object_index < 0] == -1).all())


def test_no_track_says_which_cut_did_it(caplog: pytest.LogCaptureFixture):
    event = graph_event(48, 5)
    config = TINY["exatrkx-gnn"] | {"segmentation": {"method": "components", "score_cut": 0.75}}
    stage = EdgeGNN(build(GNNConfig, config)).eval()
    logit = torch.full((event.edge_index.shape[1],), -3.0)
    with caplog.at_level(logging.WARNING, "hitloom"):
        result = stage.reconstruct(Scores(edge_index=event.edge_index, edge_score=logit), event)
    assert bool((result.labels == -1).all())
    assert "no tracks" in caplog.text
    assert "0.75" in caplog.text


def test_the_score_cut_with_the_best_tracks_is_chosen():
    event = graph_event(64, 6)
    event.object_eta = torch.zeros(event.num_objects)
    config = TINY["exatrkx-gnn"] | {"score_cut_grid": [0.1, 0.5, 0.9], "segmentation": {"method": "components"}}
    stage = EdgeGNN(build(GNNConfig, config)).eval()
    signal = truth_of(event.edge_index, event, TruthConfig()).signal
    scores = Scores(edge_index=event.edge_index, edge_score=torch.where(signal, 1.0, -1.0))  # 0.73 and 0.27
    stage.forward = lambda _: scores  # type: ignore[method-assign]
    assert stage.calibrate([event]) == {"segmentation": {"score_cut": 0.5}}


def test_negatives_over_positives_is_the_weight_where_none_is_given():
    event = graph_event(64, 7)
    stage = EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"] | {"pos_weight": None})).train()
    value = stage.loss(stage(event), event)
    signal = truth_of(event.edge_index, event, stage.config.truth).signal
    assert value.weights["edge_positive"] == pytest.approx(float((~signal).sum() / signal.sum()))


def test_a_graph_too_large_for_training_has_no_loss():
    event = graph_event(64, 8)
    stage = EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"] | {"max_training_edges": 10})).train()
    assert float(stage.loss(stage(event), event).total.detach()) == 0


def test_every_step_of_a_multistep_network_is_judged():
    event = graph_event(64, 9)
    stage = EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"] | {"kind": "multistep", "num_iterations": 3})).train()
    scores = stage(event)
    assert len(scores.intermediate) == 2
    alone = Scores(edge_index=scores.edge_index, edge_score=scores.edge_score)
    assert float(stage.loss(scores, event).total.detach()) != float(stage.loss(alone, event).total.detach())


@pytest.mark.parametrize("kind", ["interaction", "edge-first", "attention", "gcn", "multistep", "pyg"])
def test_every_kind_of_network_trains_on_a_graph_without_edges(kind: str):
    """Defect 41."""
    event = graph_event(20, 10)
    event.edge_index = event.edge_index[:, :0]
    stage = EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"] | {"kind": kind})).train()
    loss = stage.loss(stage(event), event).total
    assert bool(torch.isfinite(loss))
    loss.backward()
    assert stage.eval().reconstruct(stage(event), event).labels.tolist() == [-1] * 20


@pytest.mark.parametrize("kind", ["interaction", "edge-first", "attention", "gcn", "multistep", "pyg"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_reach_every_parameter_that_is_not_named_idle(kind: str, shared: bool):
    event = graph_event(64, 11)
    stage = EdgeGNN(
        build(GNNConfig, TINY["exatrkx-gnn"] | {"kind": kind, "shared": shared, "num_iterations": 3})
    ).train()
    stage.loss(stage(event), event).total.backward()
    without = {name for name, p in stage.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)}
    assert without == stage.parameters_without_gradient()


def test_a_stage_without_its_graph_names_the_one_before():
    event = tracker_event(20, 1)
    for stage in (
        EdgeFilter(build(FilterConfig, TINY["exatrkx-filter"])),
        EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"])),
    ):
        with pytest.raises(DataError, match="edge_index' is missing; mend: apply the stage before"):
            stage(event)
    needs_score = EdgeGNN(build(GNNConfig, TINY["exatrkx-gnn"] | {"edges": {"score": True}}))
    with pytest.raises(DataError, match="edge_score"):
        needs_score.needs.check(graph_event(20, 1))


# ---------------------------------------------------------------- the chain


def test_the_loss_of_the_chain_is_the_sum_of_its_stages():
    torch.manual_seed(0)
    chain = ExaTrkX(build(ExaTrkXConfig, TINY["exatrkx"])).train()
    event = tracker_event(64, 2)
    torch.manual_seed(1)
    value = chain.loss(chain(event), event)
    assert set(value.parts) == {
        "embedding_positive", "embedding_negative", "filter_edge_positive", "filter_edge_negative",
        "gnn_edge_positive", "gnn_edge_negative",
    }  # fmt: skip


def test_graphs_shrink_from_stage_to_stage_and_bound_what_follows():
    torch.manual_seed(0)
    parts = TINY["exatrkx"] | {"filter": TINY["exatrkx-filter"] | {"cut": 0.5}}
    chain = ExaTrkX(build(ExaTrkXConfig, parts)).eval()
    with torch.no_grad():
        graphs = chain(tracker_event(64, 2)).graphs
    assert [graph.name for graph in graphs] == ["graph", "filter", "gnn"]
    assert all(graph.bounding for graph in graphs)
    for outer, inner in pairwise(graphs):
        assert as_set(inner.edge_index) <= as_set(outer.edge_index)
        assert outer.edge_score is not None
        assert outer.edge_score.shape == (outer.edge_index.shape[1],)


def test_a_score_that_no_stage_gives_is_refused():
    with pytest.raises(ConfigError, match="gnn.edges.score"):
        build(ExaTrkXConfig, {"gnn": {"edges": {"score": True}}})
    with pytest.raises(ConfigError, match="filter.edges.score"):
        build(ExaTrkXConfig, {"filter": {"edges": {"score": True}}})
