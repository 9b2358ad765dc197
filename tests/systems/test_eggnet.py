"""EggNet's network: against the published steps written out, gradients, batches, precision, timing."""

from __future__ import annotations

import itertools

import pytest
import torch
from eggnet_toy import gradients, tiny, toy_event
from torch import Tensor
from torch_geometric.data import Batch

from hitloom.event import Event
from hitloom.systems.eggnet import EggNet


def brute_force(z: Tensor, k: int) -> Tensor:
    """The k nearest others of every point by all distances, self excluded by index, -1 padded."""
    distance = (z[:, None] - z[None]).square().sum(2)
    distance.fill_diagonal_(float("inf"))
    order = torch.argsort(distance, dim=1, stable=True)[:, : min(k, max(0, len(z) - 1))]
    return torch.nn.functional.pad(order, (0, k - order.shape[1]), value=-1)


def published(system: EggNet, event: Event) -> Tensor:
    """The steps of the publication in the order of its text, on concatenated edges."""
    config = system.config
    v = system.encoder(event.x / torch.tensor(config.node_scales))
    x = system.node_0(v)
    for i in range(config.num_iterations):
        decoder = system.decoders[0 if config.recurrent else i]
        z = torch.nn.functional.normalize(decoder(x), dim=1).detach()
        k = config.num_neighbours if isinstance(config.num_neighbours, int) else config.num_neighbours[i]
        index = brute_force(z, k)
        target, slot = (index >= 0).nonzero(as_tuple=True)
        source = index[target, slot]
        x = v if config.recycle_node_representation else x
        state = None
        for layer in system.blocks[0 if config.recurrent else i].layers:
            inputs = [x[source], x[target], *([state] if state is not None else [])]
            out = layer.edge_network(torch.cat(inputs, 1))
            weight = out[:, -1].exp()
            weight = weight / torch.zeros(len(x)).index_add(0, target, weight)[target]
            state = out[:, :-1]
            total = torch.zeros(len(x), state.shape[1]).index_add(0, target, weight[:, None] * state)
            x = layer.node_network(torch.cat([x, total], 1))
    return torch.nn.functional.normalize(system.decoders[-1](x), dim=1)


SHARING = list(itertools.product([True, False], [True, False]))


@pytest.mark.parametrize(("recurrent", "recurrent_gnn"), SHARING)
@pytest.mark.parametrize("recycle", [True, False])
def test_defect_15_every_sharing_mode_is_the_published_network(recurrent: bool, recurrent_gnn: bool, recycle: bool):
    system = tiny(
        recurrent=recurrent, recurrent_gnn=recurrent_gnn, recycle_node_representation=recycle,
        num_gnns_per_iteration=3, num_neighbours=(3, 5),
    )  # fmt: skip
    event = toy_event()
    scores = system(event)
    expected = published(system, event)
    torch.testing.assert_close(scores.embedding, expected, atol=2e-5, rtol=1e-4)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    learned = [p for name, p in system.named_parameters() if name not in system.parameters_without_gradient()]
    ours = torch.autograd.grad((scores.embedding * weight).sum(), learned)
    theirs = torch.autograd.grad((expected * weight).sum(), learned)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_without_iterations_it_is_the_two_perceptrons():
    system = tiny(num_iterations=0)
    event = toy_event()
    torch.testing.assert_close(system(event).embedding, published(system, event))
    assert not system.parameters_without_gradient()


@pytest.mark.parametrize(("recurrent", "recurrent_gnn"), SHARING)
@pytest.mark.parametrize("recycle", [True, False])
@pytest.mark.parametrize("deep", ["off", "first", "all"])
def test_parameters_without_gradient_are_exactly_those(recurrent: bool, recurrent_gnn: bool, recycle: bool, deep: str):
    system = tiny(
        recurrent=recurrent, recurrent_gnn=recurrent_gnn, recycle_node_representation=recycle,
        loss={"num_random_pairs": 50, "deep_supervision": deep},
    )  # fmt: skip
    found = {name for name, grad in gradients(system, toy_event()).items() if grad is None or not grad.abs().sum() > 0}
    assert found == system.parameters_without_gradient()
    if deep == "all":
        assert not found


def test_skipping_autograd_in_early_iterations_leaves_gradients_as_they_are(monkeypatch: pytest.MonkeyPatch):
    event = toy_event()
    fast = gradients(tiny(num_iterations=3), event)
    monkeypatch.setattr(EggNet, "_block_learns", lambda self, iteration: True)
    monkeypatch.setattr(EggNet, "_start_learns", True)
    full = gradients(tiny(num_iterations=3), event)
    assert {name for name, grad in full.items() if grad is None} == {
        name for name, grad in fast.items() if grad is None
    }
    for name, grad in fast.items():
        if grad is not None:
            torch.testing.assert_close(grad, full[name], atol=1e-6, rtol=1e-5)


def test_the_choice_of_the_graph_passes_no_gradient():
    system = tiny(recurrent=False, recycle_node_representation=False)
    found = gradients(system, toy_event())
    assert all(found[name] is None for name in found if name.startswith(("decoders.0.", "decoders.1.")))
    assert all(grad is not None for name, grad in found.items() if name.startswith(("decoders.2.", "blocks.")))


@pytest.mark.parametrize("recycle", [True, False])
def test_checkpointing_changes_neither_value_nor_gradient(recycle: bool):
    event = toy_event()
    systems = [
        tiny(checkpoint=flag, recycle_node_representation=recycle, num_gnns_per_iteration=3) for flag in (False, True)
    ]
    torch.testing.assert_close(systems[0](event).embedding, systems[1](event).embedding, atol=1e-6, rtol=1e-5)
    plain, saved = (gradients(system, event) for system in systems)
    for name, grad in plain.items():
        assert (grad is None) == (saved[name] is None)
        if grad is not None:
            torch.testing.assert_close(grad, saved[name], atol=1e-5, rtol=1e-4)


def test_points_of_a_batch_see_their_own_event_only():
    system = tiny().eval()
    events = [toy_event(23, 1), toy_event(3, 2), toy_event(1, 3), toy_event(31, 4)]
    with torch.no_grad():
        together = system(Batch.from_data_list(events))
        alone = torch.cat([system(event).embedding for event in events])
    torch.testing.assert_close(together.embedding, alone, atol=1e-5, rtol=1e-4)
    batch = Batch.from_data_list(events).batch
    for graph in together.graphs:
        assert torch.equal(batch[graph.edge_index[0]], batch[graph.edge_index[1]])


def test_the_loss_of_a_batch_rests_on_the_pairs_of_each_event():
    system = tiny().eval()
    events = [toy_event(23, 1), toy_event(31, 2)]
    together, alone = (
        [system.loss(system(event), event) for event in group] for group in ([Batch.from_data_list(events)], events)
    )
    for name, count in together[0].counts.items():
        assert count == sum(loss.counts[name] for loss in alone)
        mean = sum(float(loss.parts[name].detach()) * loss.counts[name] for loss in alone) / count
        assert float(together[0].parts[name].detach()) == pytest.approx(mean, rel=1e-4)


def test_defect_8_coincident_and_few_points_get_all_others_and_never_themselves():
    system = tiny().eval()
    event = toy_event(4)
    event.x[1] = event.x[0]
    for graph in system(event).graphs:
        source, target = graph.edge_index
        assert (source != target).all()
        assert torch.bincount(target, minlength=4).tolist() == [3] * 4


def test_defect_6_each_radius_acts_only_where_it_is_named():
    event = toy_event()
    graph_cut, loss_cut = tiny(r_max=1e-6).eval(), tiny(loss={"num_neighbours": 3, "r_max": 1e-6}).eval()
    scores = graph_cut(event)
    assert all(graph.edge_index.shape[1] == 0 for graph in scores.graphs)
    assert graph_cut.loss(scores, event).counts["knn"] > 0
    scores = loss_cut(event)
    assert all(graph.edge_index.shape[1] == 160 for graph in scores.graphs)
    assert loss_cut.loss(scores, event).counts["knn"] == 0


def test_defect_7_search_methods_agree_under_a_radius():
    event = toy_event()
    system = tiny().eval()
    source, target = system(event).graphs[0].edge_index
    first = torch.nn.functional.normalize(system.decoders[0](system.node_0(system.encoder(system.inputs(event.x)))))
    radius = float((first[source] - first[target]).norm(dim=1).median().detach())
    graphs = {}
    for method in ("kdtree", "leaf", "blocked"):
        scores = tiny(knn_method=method, r_max=radius).eval()(event)
        graphs[method] = [set(map(tuple, graph.edge_index.T.tolist())) for graph in scores.graphs]
    assert graphs["kdtree"] == graphs["leaf"] == graphs["blocked"]
    assert 0 < len(graphs["leaf"][0]) < 160


def test_an_approximate_search_can_be_asked_for():
    pytest.importorskip("faiss")
    scores = tiny(knn_method="faiss-hnsw").eval()(toy_event(60))
    assert all(graph.edge_index.shape[1] > 200 for graph in scores.graphs)


def test_defect_25_cos_and_sin_do_not_jump():
    names = ("r", "cos_phi", "sin_phi", "z")
    system = tiny(node_features=names).eval()
    assert system.needs.features == ("r", "phi", "z")
    embeddings = []
    for turn in (0.0, 2 * torch.pi):
        event = toy_event()
        event.x[:, 1] += turn
        embeddings.append(system(event).embedding)
    torch.testing.assert_close(*embeddings, atol=1e-4, rtol=1e-3)


def test_features_are_divided_by_their_scales():
    event = toy_event()
    system = tiny(node_scales=(1.0, 1.0, 1.0)).eval()
    scaled = tiny(node_scales=(10.0, 2.0, 5.0)).eval()
    moved = event.clone()
    moved.x = event.x * torch.tensor([10.0, 2.0, 5.0])
    torch.testing.assert_close(system(event).embedding, scaled(moved).embedding, atol=1e-5, rtol=1e-4)


def test_distances_and_losses_stay_in_float32_under_autocast():
    system = tiny().train()
    event = toy_event()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = system(event)
        loss = system.loss(scores, event)
    assert scores.embedding.dtype == torch.float32
    torch.testing.assert_close(scores.embedding.norm(dim=1), torch.ones(40), atol=1e-5, rtol=0)
    assert {part.dtype for part in loss.parts.values()} == {torch.float32}
    loss.total.backward()
    assert all(p.grad.isfinite().all() for p in system.parameters() if p.grad is not None)


def test_autocast_and_checkpointing_agree():
    event = toy_event(12)  # every point is everyone's neighbour, so that rounding cannot change the graph
    weight = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for checkpoint, half in ((False, False), (False, True), (True, True)):
        system = tiny(checkpoint=checkpoint, num_neighbours=11).train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            scores = system(event)
        (scores.embedding * weight).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in system.parameters() if p.grad is not None]))
    exact, plain, saved = found
    torch.testing.assert_close(plain, saved, atol=2e-3, rtol=5e-2)
    assert torch.nn.functional.cosine_similarity(plain, exact, dim=0) > 0.99


def test_a_resumed_run_draws_the_pairs_of_the_killed_one():
    event = toy_event()

    def steps(system: EggNet, optimiser: torch.optim.Optimizer, num: int) -> list[float]:
        values = []
        for _ in range(num):
            optimiser.zero_grad()
            loss = system.train().loss(system(event), event)
            loss.total.backward()
            optimiser.step()
            values.append(float(loss.parts["random"].detach()))
        return values

    whole = tiny()
    expected = steps(whole, torch.optim.SGD(whole.parameters(), lr=0.1), 4)
    killed = tiny()
    first = steps(killed, torch.optim.SGD(killed.parameters(), lr=0.1), 2)
    resumed = tiny()
    resumed.load_state_dict(killed.state_dict())
    assert first + steps(resumed, torch.optim.SGD(resumed.parameters(), lr=0.1), 2) == expected
    assert len(set(expected)) == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_evaluation_draws_the_same_pairs_every_time():
    system, event = tiny().eval(), toy_event()
    values = {float(system.loss(system(event), event).total.detach()) for _ in range(3)}
    assert len(values) == 1
    assert int(system.loss_step) == 0


def test_relabelling_the_objects_changes_nothing():
    system, event = tiny().eval(), toy_event()
    other = event.clone()
    order = torch.randperm(event.num_objects)
    other.object_index = torch.where(event.object_index >= 0, order[event.object_index], -1)
    scores = system(event)
    first, second = (float(system.loss(scores, e).total.detach()) for e in (event, other))
    assert first == second


def test_result_and_timing_of_every_stage():
    system = tiny().eval()
    event = toy_event()
    event.point_id = torch.arange(40) + 1000
    scores = system(event)
    result = system.reconstruct(scores, event)
    assert [graph.name for graph in scores.graphs] == ["knn_0", "knn_1"]
    assert set(result.timing) == {"forward", "encode", "decode", "knn", "attention", "dbscan"}
    assert all(seconds >= 0 for seconds in result.timing.values())
    assert result.timing["forward"] >= result.timing["knn"] + result.timing["attention"]
    assert result.event_id == 0
    assert torch.equal(result.point_id, event.point_id)
    assert not result.embedding.requires_grad
    assert system.num_parameters > 0
    assert system.to(torch.float32) is system


def test_coincident_embeddings_make_one_cluster():
    system = tiny(grouping={"eps": 0.5, "min_samples": 3}).eval()
    event = toy_event(10)
    scores = system(event)
    scores.embedding = torch.eye(2).repeat_interleave(5, 0)
    labels = system.reconstruct(scores, event).labels
    assert labels.tolist() == [0] * 5 + [1] * 5
    scores.embedding = torch.eye(10)[:, :4] * 9
    assert (system.reconstruct(scores, event).labels[:4] == -1).all()


def test_missing_columns_are_named():
    event = toy_event()
    event.feature_names = ["r", "ph", "z"]
    with pytest.raises(Exception, match=r"feature 'phi' is needed.*Did you mean 'ph'"):
        tiny()(event)
