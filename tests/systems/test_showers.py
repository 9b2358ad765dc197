"""Shower growing: sizes, symmetries, inputs, loss and groups of the system."""

from __future__ import annotations

import itertools
import logging

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.collation import collate_events
from hitloom.data.shower_truth import similarity_target
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.result import Scores
from hitloom.systems.showers import Showers, ShowersConfig
from hitloom.systems.showers.config import LossConfig
from hitloom.systems.showers.inputs import BEFORE, HitInputs
from hitloom.systems.showers.objective import draw_triples, shower_loss, triple_terms
from shower_toy import toy_view

SMALL = {"embedding": 16, "hidden": 16, "num_heads": 2, "num_inducing": 4}
DEFAULTS = {"embedding": 120, "hidden": 240, "num_heads": 5}
CLOSE = {"atol": 1e-6, "rtol": 1e-5}


def make(*, spread: float = 30.0, **model) -> Showers:
    """Return a small system whose random weights give similarities far from one another."""
    torch.manual_seed(0)
    values = {"inputs": {"added_from_epoch": 0}, "encoder": SMALL, "attention": SMALL, "similarity": {"hidden": 32}}
    system = Showers(build(ShowersConfig, values | model)).eval()
    with torch.no_grad():
        system.network.similarity.pair[2].weight.mul_(spread)
        system.network.encoder.last.weight.mul_(5)
    return system


def views() -> list[Event]:
    return [toy_view(num, seed, view=4 + seed % 3) for seed, num in enumerate([30, 0, 1, 2, 47])]


def reordered(event: Event, clusters: torch.Tensor, hits: torch.Tensor) -> Event:
    """Return the view with its clusters and hits in another order."""
    place = torch.empty_like(clusters)
    place[clusters] = torch.arange(len(clusters))
    result = Event(part_feature_names=event.part_feature_names, feature_names=event.feature_names, event_id=0)
    for name in ("pos", "x", "layer", "energy"):
        result[name] = event[name][clusters]
    for name in ("part_pos", "part_x"):
        result[name] = event[name][hits]
    result.part_point_index = place[event.part_point_index[hits]]
    return result


# ---------------------------------------------------------------- sizes


def test_the_published_example_has_2114626_parameters():
    parts = Showers(ShowersConfig()).network
    counts = [sum(p.numel() for p in part.parameters()) for part in (parts.encoder, parts.attention, parts.similarity)]
    assert counts == [435_136, 1_480_832, 198_658]


def test_the_published_defaults_have_2887474_parameters():
    model = {
        "inputs": {"preset": 1, "cardinality": False}, "encoder": DEFAULTS, "attention": DEFAULTS,
        "similarity": {"hidden": 128},
    }  # fmt: skip
    system = Showers(build(ShowersConfig, model))
    assert (system.num_parameters, system.inputs.num_inputs) == (2_887_474, 5)


# ---------------------------------------------------------------- symmetries


@torch.no_grad()
def test_similarity_does_not_depend_on_the_order_of_clusters_or_hits():
    system, event = make(), toy_view(40, 3)
    generator = torch.Generator().manual_seed(0)
    clusters = torch.randperm(40, generator=generator)
    hits = torch.randperm(event.num_parts, generator=generator)
    first = system(event).own["similarity"].view(40, 40)
    other = system(reordered(event, clusters, hits)).own["similarity"].view(40, 40)
    assert float(first.std()) > 0.05
    torch.testing.assert_close(other, first[clusters][:, clusters], atol=1e-5, rtol=1e-5)
    assert torch.equal(first, first.T)


@torch.no_grad()
def test_a_batch_gives_what_its_views_give_alone():
    system, events = make(loss={"triplet": 0.3, "contrastive": 0.2, "num_triplets": 500}), views()
    batch = collate_events(events)
    together, alone = system(batch), [system(event) for event in events]
    for name in ("logit", "similarity", "vectors", "sizes"):
        wanted = torch.cat([one.own[name] for one in alone])
        torch.testing.assert_close(together.own[name], wanted, atol=2e-5, rtol=1e-5)
    counts = [system.validation_counts(scores, event) for scores, event in zip(alone, events, strict=True)]
    for name, value in system.validation_counts(together, batch).items():
        assert value == pytest.approx(sum(one[name] for one in counts), rel=1e-4, abs=1e-4)
    losses = [float(system.loss(scores, event).total) for scores, event in zip(alone, events, strict=True)]
    assert float(system.loss(together, batch).total) == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_the_ordered_form_follows_the_order_of_the_event():
    system, event = make(similarity={"hidden": 32, "form": "ordered"}), toy_view(10, 3)
    turned = reordered(event, torch.arange(9, -1, -1), torch.arange(event.num_parts))
    with torch.no_grad():
        first, other = (system(one).own["similarity"].view(10, 10) for one in (event, turned))
    assert float((other.flip(0, 1) - first).abs().max()) > 1e-3
    assert torch.equal(first, first.T)


# ---------------------------------------------------------------- inputs


def test_appended_columns_are_random_until_their_epoch_then_true():
    system, event = make(inputs={"added_from_epoch": 2}), toy_view(20, 1)
    inputs = system.inputs
    assert inputs.names[-2:] == ("num_hits", "num_clusters")
    system.train().begin_epoch(1)
    rows, cluster = inputs(event)
    drawn = rows[:, -2].exp()
    assert bool((drawn >= 1 - 1e-6).all() & (drawn < 2 + 1e-6).all())
    assert len(drawn.unique()) > 10
    for number in range(20):
        assert len(rows[cluster == number, -2].unique()) == 1, "the same for all hits of a cluster"
    assert not torch.equal(inputs(event)[0], rows), "drawn anew"
    system.eval()
    torch.testing.assert_close(inputs(event)[0][:, -2:].exp(), torch.full((len(rows), 2), BEFORE))
    system.begin_epoch(2)
    seen = inputs(event)[0]
    torch.testing.assert_close(seen[:, -2].exp(), event.x[event.part_point_index, 0])
    torch.testing.assert_close(seen[:, -1].exp(), torch.full((len(rows),), 20.0))
    loaded = make(inputs={"added_from_epoch": 2})
    loaded.load_state_dict(system.state_dict())
    assert loaded.inputs.shows_added, "the epoch travels with the weights"


def test_a_hit_without_energy_gives_a_finite_similarity():
    event = toy_view(6, 2)
    event.part_x[:, event.part_feature_names.index("energy")] = 0.0
    with torch.no_grad():
        assert bool(torch.isfinite(make()(event).own["logit"]).all())


def test_a_hit_that_is_not_finite_is_named():
    event = toy_view(6, 2)
    event.part_x[3, 0] = torch.nan
    with pytest.raises(DataError, match="of hit 3 is nan"):
        make()(event)


def test_a_preset_with_gaps_is_refused_by_data_without_them():
    with pytest.raises(DataError, match="preset 10"):
        make()(toy_view(6, 2, gaps=False))


def test_a_column_that_comes_twice_is_refused():
    config = build(ShowersConfig, {"inputs": {"preset": None, "columns": ["x", "num_hits"]}}).inputs
    with pytest.raises(ConfigError, match="num_hits"):
        HitInputs(config)


def test_summary_rows_count_neither_in_weights_nor_in_groups():
    system, event = make(inputs={"preset": 5, "cardinality": False}), toy_view(25, 4)
    rows, cluster = system.inputs(event)
    assert len(rows) == event.num_parts + 25
    assert torch.equal(cluster[event.num_parts :], torch.arange(25))
    plain = make(inputs={"preset": 4, "cardinality": False})
    fixed = Scores(own={"similarity": torch.rand(625), "sizes": torch.tensor([25])})
    assert torch.equal(system.loss(fixed, event).total, plain.loss(fixed, event).total)


def test_similarity_and_loss_are_float32_under_half_precision():
    system, event = make(), toy_view(15, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = system(event)
        loss = system.loss(scores, event)
    assert {scores.own[name].dtype for name in ("similarity", "logit")} == {torch.float32}
    assert loss.total.dtype == torch.float32


# ---------------------------------------------------------------- loss


def given_scores(events: list[Event], seed: int = 0) -> Scores:
    """Return symmetric similarities drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    matrices = []
    for event in events:
        one = torch.rand(event.num_points, event.num_points, generator=generator)
        matrices.append(((one + one.T) / 2).flatten())
    vectors = torch.randn(sum(event.num_points for event in events), 5, generator=generator)
    sizes = torch.tensor([event.num_points for event in events])
    return Scores(own={"similarity": torch.cat(matrices), "sizes": sizes, "vectors": vectors})


@pytest.mark.parametrize("kind", ["none", "log", "log_with_penalty"])
def test_the_loss_is_the_weighted_squared_error_over_all_pairs_of_the_batch(kind: str):
    events = [toy_view(7, 1), toy_view(5, 2)]
    scores = given_scores(events)
    top = bottom = 0.0
    start = 0
    for event in events:
        target = similarity_target(event)
        for i, j in itertools.product(range(event.num_points), repeat=2):
            weight = 1.0
            for hits in (float(event.x[i, 0]), float(event.x[j, 0])):
                if kind != "none":
                    weight *= float(torch.log1p(torch.tensor(hits)))
                if kind == "log_with_penalty" and hits <= 2:
                    weight *= 0.5
            found = float(scores.own["similarity"][start + i * event.num_points + j])
            top += weight * (found - float(target[i, j])) ** 2
            bottom += weight
        start += event.num_points**2
    loss = shower_loss(LossConfig(weights=kind), scores, Batch.from_data_list(events), pooled=True)
    assert float(loss.total) == pytest.approx(top / bottom, rel=1e-5)


def test_soft_transitivity_equals_brute_force():
    event = toy_view(5, 3)
    matrix = given_scores([event]).own["similarity"].view(5, 5)
    weight = torch.rand(5, 5)
    weight = weight + weight.T
    places, view = draw_triples([5], 400, fixed=True, device=torch.device("cpu"))
    value, of_triple = triple_terms(matrix.flatten(), weight.flatten(), places)
    assert not view.any()
    for column in range(places.shape[1]):
        (i, j), (again, k) = divmod(int(places[0, column]), 5), divmod(int(places[1, column]), 5)
        assert again == j
        assert len({i, j, k}) == 3
        ij, jk, ik = float(matrix[i, j]), float(matrix[j, k]), float(matrix[i, k])
        wanted = max(0, ij + jk - ik - 1) + max(0, jk + ik - ij - 1) + max(0, ik + ij - jk - 1)
        assert float(value[column]) == pytest.approx(wanted, abs=1e-6)
        assert float(of_triple[column]) == pytest.approx(float(weight[i, j] + weight[j, k] + weight[i, k]) / 3)


def test_contrastive_part_compares_cosines_with_the_target():
    event = toy_view(6, 3)
    scores, target = given_scores([event]), similarity_target(event)
    vectors = scores.own["vectors"]
    cosine = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    loss = shower_loss(LossConfig(weights="none", contrastive=0.5), scores, event, pooled=True)
    assert float(loss.parts["contrastive"]) == pytest.approx(
        float(((cosine + 1) / 2 - target).square().mean()), rel=1e-5
    )
    assert loss.weights["contrastive"] == 0.5


# ---------------------------------------------------------------- groups


@pytest.mark.parametrize("mode", ["components", "accessory", "two_stage", "iterated"])
@pytest.mark.parametrize("num_clusters", [0, 1, 2, 30])
@torch.no_grad()
def test_every_cluster_is_in_exactly_one_group(mode: str, num_clusters: int):
    system = make(grouping={"mode": mode, "threshold": 0.5})
    event = toy_view(num_clusters, 5)
    result = system.reconstruct(system(event), event)
    assert result.labels.shape == (num_clusters,)
    assert sorted(set(result.labels.tolist())) == list(range(result.num_candidates))
    assert result.edge_index.shape == (2, num_clusters * (num_clusters - 1) // 2)


@torch.no_grad()
def test_a_pair_belongs_together_strictly_above_the_threshold():
    event = toy_view(2, 5)
    system = make(grouping={"mode": "components", "threshold": 0.5})
    at, above = torch.zeros(4), torch.full((4,), 1e-3)
    assert system.reconstruct(Scores(own={"logit": at}), event).num_candidates == 2
    assert system.reconstruct(Scores(own={"logit": above}), event).num_candidates == 1
    target = similarity_target(event)
    target[0, 1] = target[1, 0] = 0.5
    sums = system.validation_counts(Scores(own={"similarity": at.sigmoid(), "sizes": torch.tensor([2])}), event)
    assert sums["true_positive"] == sums["false_positive"] == 0


@torch.no_grad()
def test_iterating_a_model_that_never_saw_merged_clusters_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    system, event = make(grouping={"threshold": 0.3}), toy_view(30, 5)
    with caplog.at_level(logging.WARNING, logger="hitloom"):
        first = system.iterate(event, 5)
        system.iterate(event, 5)
    assert len([record for record in caplog.records if "merged clusters" in record.message]) == 1
    assert len(first.history) >= 1
    assert first.labels.shape == (30,)
    trained = make(grouping={"threshold": 0.3}, augmentation={"enabled": True})
    caplog.clear()
    trained.iterate(event, 2)
    assert not caplog.records


@torch.no_grad()
def test_the_chosen_threshold_is_the_one_with_the_best_mean_index():
    event = toy_view(30, 5, mixed=0.0, without_truth=0.0)
    system = make(scan={"enabled": True, "step": 0.1}, grouping={"threshold": 0.6})
    target = similarity_target(event)
    logit = torch.logit(0.25 + 0.1 * target, eps=1e-6).flatten()
    system.forward = lambda _: Scores(own={"similarity": logit.sigmoid(), "sizes": torch.tensor([30])})
    assert system.choose_working_point([event]) == {"grouping": {"threshold": 0.3}}
    assert make().choose_working_point([event]) == {}
