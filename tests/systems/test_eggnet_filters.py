"""EggNet's point score, its hard and soft filters, and the losses that train them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from eggnet_toy import SCORED, gradients, tiny, toy_event
from torch import Tensor
from torch_geometric.data import Batch

from hitloom.event import Event
from hitloom.systems.eggnet import EggNet

HARD, SOFT = "node_hard_filter", "node_soft_filter"


def halving(kind: str, event: Event, **changes: Any) -> tuple[EggNet, Tensor]:
    """Return a network whose first cut passes half of the points and whose last passes half of those, and which
    points the first one passes.
    """

    def build(first: float, end: float) -> EggNet:
        cuts = {HARD: (first, 0.0, end)} if kind == HARD else {SOFT: (first, 0.0), HARD: (end,)}
        return tiny(**(SCORED | changes | cuts)).train(False)

    system = build(0.0, 0.0)
    with torch.no_grad():
        first = system.score_heads[0](system.node_0(system.encoder(system.inputs(event.x))))[:, 0].sigmoid()
        cut = float(first.median())
        scores = build(cut, 0.0)(event)
    end = float(scores.point_score.sigmoid()[first > cut].median())
    return build(cut, end), first > cut


def test_the_score_comes_with_the_embedding():
    system = tiny(**SCORED).eval()
    scores = system(toy_event())
    assert scores.point_score.shape == (40,)
    assert scores.kept is None
    assert tiny().eval()(toy_event()).point_score is None


def test_defect_16_hard_filters_cut_on_the_sigmoid_before_every_graph():
    event = toy_event()
    system, passed = halving(HARD, event)
    scores = system(event)
    assert 15 < int(passed.sum()) < 25
    for graph in scores.graphs:
        assert passed[graph.edge_index].all()
    end = system.config.node_hard_filter[-1]
    assert torch.equal(scores.kept, passed & (scores.point_score.sigmoid() > end))
    assert 0 < int(scores.kept.sum()) < int(passed.sum())
    labels = system.reconstruct(scores, event).labels
    assert (labels[~scores.kept] == -1).all()
    assert scores.embedding.isfinite().all()


def test_dropped_points_do_not_touch_the_others():
    event = toy_event()
    system, passed = halving(HARD, event)
    with torch.no_grad():
        whole, part = system(event), system(event.select_points(passed))
    torch.testing.assert_close(whole.embedding[passed], part.embedding, atol=1e-5, rtol=1e-4)
    assert torch.equal(whole.kept[passed], part.kept)


def test_one_hard_cut_acts_only_at_the_end():
    event = toy_event()
    plain, cut = tiny(**SCORED).eval(), tiny(**SCORED, node_hard_filter=(0.5,)).eval()
    a, b = plain(event), cut(event)
    assert torch.equal(a.embedding, b.embedding)
    assert torch.equal(b.kept, a.point_score.sigmoid() > 0.5)
    assert all(graph.edge_index.shape[1] == 160 for graph in b.graphs)


def test_soft_filtered_points_receive_messages_and_are_nobodys_neighbour():
    event = toy_event()
    system, passed = halving(SOFT, event)
    source, target = system(event).graphs[0].edge_index
    assert passed[source].all()
    assert torch.bincount(target, minlength=40).tolist() == [4] * 40
    assert (source != target).all()


@pytest.mark.parametrize("kind", [HARD, SOFT])
def test_a_batch_with_filters_equals_each_event_alone(kind: str):
    events = [toy_event(30, 1), toy_event(25, 2)]
    system, _ = halving(kind, events[0])
    with torch.no_grad():
        together = system(Batch.from_data_list(events))
        alone = [system(event) for event in events]
    assert torch.equal(together.kept, torch.cat([scores.kept for scores in alone]))
    assert together.kept.any()
    torch.testing.assert_close(
        together.embedding, torch.cat([scores.embedding for scores in alone]), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("kind", [HARD, SOFT])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_filters_train(kind: str, checkpoint: bool):
    event = toy_event()
    system, _ = halving(kind, event, checkpoint=checkpoint)
    found = gradients(system, event)
    missing = {name for name, grad in found.items() if grad is None or not grad.abs().sum() > 0}
    assert missing == system.parameters_without_gradient()


@pytest.mark.parametrize("kind", [HARD, SOFT])
def test_filters_with_deep_supervision_train_everything(kind: str):
    event = toy_event()
    deep = {"loss": {"name": "weighted_contrastive", "num_random_pairs": 50, "deep_supervision": "all"}}
    system, _ = halving(kind, event, recurrent=False, **deep)
    found = gradients(system, event)
    missing = {name for name, grad in found.items() if grad is None or not grad.abs().sum() > 0}
    # A head between iterations learns from the points it drops: the cut of 0 drops none.
    assert missing - system.parameters_without_gradient() <= {
        f"score_heads.1.linears.0.{p}" for p in ("weight", "bias")
    }
    assert not any(name.startswith(("node_0", "blocks", "decoders")) for name in missing)


def test_pairs_are_drawn_among_kept_points():
    event = toy_event()
    system, _ = halving(HARD, event)
    scores = system.train()(event)
    loss = system.loss(scores, event)
    kept = int(scores.kept.sum())
    assert 3 < kept < 20
    assert loss.counts["knn"] == kept * min(10, kept - 1)
    assert loss.counts["signal"] == int(scores.kept[event.truth_edge_index].all(0).sum())
    assert loss.counts["beta_loss"] == 40


@pytest.mark.parametrize("kind", [HARD, SOFT])
@pytest.mark.parametrize("num_points", [0, 1, 5])
def test_dropping_everything_is_survived(kind: str, num_points: int):
    system = tiny(**{HARD: (0.5,)} | {kind: (0.5, 0.5, 0.5) if kind == HARD else (0.5, 0.5)}, **SCORED)
    event = toy_event(num_points)
    with torch.no_grad():
        system.score_heads[0].linears[0].bias.fill_(-50.0)
    scores = system.eval()(event)
    assert not scores.kept.any()
    assert (system.reconstruct(scores, event).labels == -1).all()
    system.train()
    loss = system.loss(system(event), event)
    assert bool(loss.total.isfinite())
    if num_points:
        loss.total.backward()
        assert float(system.score_heads[0].linears[0].bias.grad.abs()) > 0  # a way back


def test_beta_loss_is_the_cross_entropy_with_conditional_weights():
    weighting = {
        "true_default": 2.0, "fake_default": 0.5,
        "conditional_weighting": [
            {"conditions": {"object_pt": [1.0, float("inf")]}, "weight": 3.0},
            {"conditions": {"object_pt": [3.0, float("inf")]}, "weight": 0.0},
        ],
    }  # fmt: skip
    system = tiny(output_node_score=True, loss={"name": "weighted_contrastive", "weighting": weighting}).eval()
    assert "object_pt" in system.needs.training_fields
    event = toy_event()
    scores = system(event)
    is_object = event.object_index >= 0
    pt = event.object_pt[event.object_index.clamp(min=0)]
    weight = torch.where(pt >= 3.0, 0.0, torch.where(pt >= 1.0, 3.0, 2.0))
    weight = torch.where(is_object, weight, 0.5)
    value = (
        torch.nn.functional.binary_cross_entropy_with_logits(
            scores.point_score, is_object.float(), weight=weight, reduction="sum"
        )
        / weight.sum()
    )
    loss = system.loss(scores, event)
    assert float(loss.parts["beta_loss"].detach()) == pytest.approx(float(value.detach()), rel=1e-5)
    assert set(loss.parts) == {"signal", "knn", "random", "beta_loss"}


def test_defect_27_object_condensation_trains_on_the_probability():
    system = tiny(output_node_score=True, loss={"name": "object_condensation", "q_min": 0.2})
    event = toy_event()
    with torch.no_grad():
        system.score_heads[0].linears[0].bias.fill_(3.0)  # a logit that is no probability
    loss = system.train().loss(system(event), event)
    assert set(loss.parts) == {"attractive", "repulsive", "coward", "noise"}
    loss.total.backward()
    missing = {name for name, p in system.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert missing == system.parameters_without_gradient()


@pytest.mark.parametrize("name", ["contrastive", "weighted_contrastive", "object_condensation"])
def test_every_loss_survives_the_smallest_events_and_noise(name: str):
    system = tiny(output_node_score=True, loss={"name": name, "deep_supervision": "all"}).train()
    for event in (toy_event(0), toy_event(1), toy_event(2), toy_event(12)):
        event.object_index = torch.full_like(event.object_index, -1)
        event.truth_edge_index = event.truth_edge_index[:, :0]
        loss = system.loss(system(event), event)
        assert bool(loss.total.isfinite())
        loss.total.backward()
