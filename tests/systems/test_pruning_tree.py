"""The tree mode of pruning: its likelihood by brute force, and the laws of a batch of tracksters."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.systems.pruning.config import PruningConfig
from hitloom.systems.pruning.system import Pruning
from pruning_toy import clique, toy_trackster

BACKBONES = ("gated", "attention", "tag", "sage")
SIZES = (1, 2, 9, 30, 1)


def make_system(**tree: object) -> Pruning:
    torch.manual_seed(5)
    options = {"num_steps": 2, "num_message_layers": 2, "num_heads": 2, "dropout": 0.0} | tree
    system = Pruning(build(PruningConfig, {"mode": "tree", "hidden": 16, "tree": options}))
    system.fit_inputs(toy_trackster(20, seed) for seed in range(5))
    return system.eval()


def toys() -> list[Event]:
    return [toy_trackster(size, seed) for seed, size in enumerate(SIZES)]


def labelled(event: Event, labels: tuple[int, ...]) -> Event:
    event = event.clone()
    event.point_y = torch.tensor(labels, dtype=torch.float32)
    return event


@pytest.mark.parametrize("num_states", [1, 2])
def test_the_probabilities_of_all_decisions_sum_to_one_and_give_the_marginals(num_states: int):
    system, event, size = make_system(num_states=num_states), toy_trackster(7, 3), 7
    with torch.no_grad():
        scores = system(event)
        log_p = {
            labels: -size * system.loss(scores, labelled(event, labels)).total.double()
            for labels in itertools.product((0, 1), repeat=size)
        }
    probability = torch.stack(list(log_p.values())).exp()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-4)
    marginal = probability @ torch.tensor(list(log_p)).double()
    torch.testing.assert_close((-scores.point_score).sigmoid().double(), marginal, atol=1e-5, rtol=1e-4)
    drawn = system.sample(event, 4000, torch.Generator().manual_seed(1))
    assert drawn.dtype == torch.bool
    torch.testing.assert_close(drawn.double().mean(0), marginal, atol=0.035, rtol=0)  # 4.4 standard deviations
    if num_states == 1:
        system = make_system(num_states=1, decode="map")
        best = max(log_p, key=lambda labels: float(log_p[labels]))
        found = system.reconstruct(system(event), event).labels
        assert tuple((found == -1).int().tolist()) == best


@pytest.mark.parametrize("decode", ["map", "marginal"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_batch_gives_what_each_trackster_gives_alone(backbone: str, decode: str):
    system, events = make_system(backbone=backbone, decode=decode), toys()
    batch = Batch.from_data_list(events)
    with torch.no_grad():
        together, alone = system(batch), [system(event) for event in events]
        torch.testing.assert_close(
            together.point_score, torch.cat([item.point_score for item in alone]), atol=1e-5, rtol=1e-5
        )
        losses = torch.stack([system.loss(item, event).total for item, event in zip(alone, events, strict=True)])
        torch.testing.assert_close(system.loss(together, batch).total, losses.mean())
        if decode == "map":
            assert torch.equal(together.own["pruned"], torch.cat([item.own["pruned"] for item in alone]))
        reverse = Batch.from_data_list(events[::-1])
        torch.testing.assert_close(system.loss(system(reverse), reverse).total, losses.mean())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_order_of_layer_clusters_and_links_does_not_matter(backbone: str):
    system, event = make_system(backbone=backbone), toy_trackster(25, 8)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(25, generator=generator)
    place = torch.empty_like(order)
    place[order] = torch.arange(25)
    other = event.clone()
    for name in ("pos", "x", "energy", "time", "layer", "point_id", "point_y"):
        other[name] = event[name][order]
    other.edge_index = place[event.edge_index][:, torch.randperm(24, generator=generator)]
    with torch.no_grad():
        scores, again = system(event), system(other)
        torch.testing.assert_close(again.point_score, scores.point_score[order], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(system.loss(again, other).total, system.loss(scores, event).total)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_parameter_learns(backbone: str):
    system = make_system(backbone=backbone).train()
    batch = Batch.from_data_list(toys())
    system.loss(system(batch), batch).total.backward()
    for name, parameter in system.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_a_trackster_without_anything_to_prune_and_one_of_a_single_layer_cluster_train():
    system = make_system().train()
    optimizer = torch.optim.Adam(system.parameters(), 1e-2)
    batch = Batch.from_data_list([toy_trackster(12, 1, share=0.0), toy_trackster(1, 2)])
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = system.loss(system(batch), batch).total
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert bool((system.eval()(batch).point_score > 0).all())


def test_labels_do_not_reach_the_scores_of_inference():
    system, event = make_system(), toy_trackster(15, 2)
    bare = toy_trackster(15, 2, labelled=False)
    with torch.no_grad():
        assert torch.equal(system(event).point_score, system(bare).point_score)


def test_links_that_are_no_forest_are_refused_by_the_name_of_the_event():
    system = make_system()
    with pytest.raises(DataError, match=r"toy\[event 1\]: the links are no forest: node 5 has 5 links from above"):
        system(clique(1))
    with pytest.raises(DataError, match=r"toy\[event 3\]: the links are no forest"):
        system(Batch.from_data_list([toy_trackster(4, 2), clique(3), toy_trackster(4, 5)]))


def test_parameters_of_the_gated_model_count_as_its_equations_say():
    dim, states = 16, 4
    system = make_system(num_message_layers=3)
    initial = (9 + 1) * dim // 2 + dim + (dim // 2 + 1) * dim + 2 * dim + (dim + 1) * dim  # with two layer norms
    message = 2 * (dim + 1) * dim + (dim + 1) * 2 * dim
    gru = 3 * dim * dim * 2 + 6 * dim
    heads = (dim + 1) * states + (2 * dim + 1) * states**2
    assert system.num_parameters == initial + message + gru + heads
