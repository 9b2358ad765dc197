"""The linking networks against their plain formulation, their size, and what must not change their scores."""

from __future__ import annotations

import pytest
import torch
from linking_oracle import plain_forward
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from hitloom.registry import get_system
from hitloom.systems.linking import Linking, LinkingConfig, LinkNetwork
from hitloom.systems.linking.network import nearest_rows
from hitloom.training.run_config import load_recipe
from trackster_toy import toy_trackster_event

MODELS = {
    "gnn": {"hidden": 24, "edge_hidden": 12, "num_iterations": 3},
    "punet": {"network": "punet", "hidden": 16, "attention": {"num_heads": 4, "num_layers": 2}},
    "punet, plain attention": {"network": "punet", "hidden": 16, "attention": {"num_heads": 4, "cosine": False}},
}


def make(model: dict, *, seed: int = 0, fit: bool = True) -> Linking:
    torch.manual_seed(seed)
    system = Linking(build(LinkingConfig, model))
    for parameter in system.parameters():
        if parameter.ndim == 1:  # biases that matter
            torch.nn.init.normal_(parameter, std=0.3)
    if fit:
        system.fit_inputs([event(s) for s in (90, 91)])
    return system.eval()


def event(seed: int, **settings) -> Event:
    # the plain formulation knows no missing times, so they all exist
    return toy_trackster_event(seed, **{"num_particles": 10, "num_pileup": 4, "missing_time": 0.0} | settings)


@torch.no_grad()
def score(system: Linking, one: Event) -> torch.Tensor:
    return system(one).edge_score


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("legacy", [False, True])
def test_the_networks_equal_their_plain_formulation(model: dict, legacy: bool):
    system, one = make(model | {"legacy_self_loops": legacy}), event(1)
    x, table = one.columns(NODE_FEATURES), one.edge_index.flip(0).T
    embedding, logit = plain_forward(system.network, x, table, one.edge_attr, legacy=legacy)
    scores = system(one)
    torch.testing.assert_close(scores.edge_score, logit[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores.edge_embedding, embedding, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(logit)
    names, parameters = zip(*((n, p) for n, p in system.named_parameters() if p.requires_grad), strict=True)
    own = torch.autograd.grad((scores.edge_score * weight[:, 0]).sum(), parameters)
    plain = torch.autograd.grad((logit * weight).sum(), parameters)
    for name, a, b in zip(names, own, plain, strict=True):
        torch.testing.assert_close(
            a, b, atol=2e-5 * float(b.abs().max() + 1), rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_published_sizes():
    assert get_system("linking")(load_recipe("linking-ticl").model).num_parameters == 144_227
    punet = get_system("linking")(load_recipe("linking-punet").model)
    assert punet.num_parameters == 1_000_388
    assert sum(p.numel() for n, p in punet.named_parameters() if "pu_head" in n) == 33_153
    assert punet.parameters_without_gradient() == {n for n, _ in punet.named_parameters() if "pu_head" in n}


@pytest.mark.parametrize("network", ["gnn", "punet"])
def test_every_default_constructs_and_runs(network: str):  # defect 14
    system, one = Linking(LinkingConfig(network=network)).eval(), event(2)
    assert bool(torch.isfinite(score(system, one)).all())
    with pytest.raises(ConfigError, match="12 heads do not divide hidden 16"):
        build(LinkingConfig, {"network": "punet", "attention": {"num_heads": 12}})


@pytest.mark.parametrize("model", [MODELS["gnn"], MODELS["punet"]], ids=["gnn", "punet"])
def test_renumbering_tracksters_leaves_every_score(model: dict):  # defect 1
    system, one = make(model), event(3)
    order = torch.randperm(one.num_points, generator=torch.Generator().manual_seed(0))
    place = torch.argsort(order)
    other = Event(
        pos=one.pos[order], x=one.x[order], feature_names=one.feature_names, edge_index=place[one.edge_index],
        edge_attr=one.edge_attr, edge_feature_names=one.edge_feature_names,
    )  # fmt: skip
    torch.testing.assert_close(score(system, other), score(system, one), atol=1e-5, rtol=1e-4)


def test_old_self_loops_do_depend_on_the_numbering():  # what defect 1 was
    system, one = make(MODELS["gnn"] | {"legacy_self_loops": True}), event(3)
    order = torch.arange(one.num_points).flip(0)
    other = Event(
        pos=one.pos[order], x=one.x[order], feature_names=one.feature_names, edge_index=order[one.edge_index],
        edge_attr=one.edge_attr, edge_feature_names=one.edge_feature_names,
    )  # fmt: skip
    assert float((score(system, other) - score(system, one)).abs().max()) > 1e-3


def test_isolated_tracksters_change_no_score_of_the_gnn():  # defect 1
    system, one = make(MODELS["gnn"]), event(4)
    other = one.clone()
    other.x, other.pos = torch.cat([one.x, one.x[:5] + 3]), torch.cat([one.pos, one.pos[:5]])
    torch.testing.assert_close(score(system, other), score(system, one), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("limited", [None, 5])
@pytest.mark.parametrize("legacy", [False, True])
def test_events_of_a_batch_do_not_mix(limited: int | None, legacy: bool):
    model = MODELS["punet"] | {"attention": {"num_heads": 4, "num_neighbours": limited}, "legacy_self_loops": legacy}
    system = make(model)
    events = [event(5), event(6, num_particles=0, num_pileup=0), event(7), event(8, num_particles=3)]
    together = score(system, Batch.from_data_list(events))
    torch.testing.assert_close(together, torch.cat([score(system, e) for e in events]), atol=1e-5, rtol=1e-4)


def test_attention_to_as_many_neighbours_as_there_are_equals_full_attention():
    system, one = make(MODELS["punet"]), event(9)
    full = score(system, one)
    limited = make(MODELS["punet"] | {"attention": {"num_heads": 4, "num_layers": 2, "num_neighbours": 500}})
    limited.load_state_dict(system.state_dict())
    torch.testing.assert_close(score(limited, one), full, atol=1e-5, rtol=1e-4)


def test_nearest_rows_hold_the_row_itself_and_stay_within_the_event():
    place = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    rows = nearest_rows(place, 4, [5, 7])
    assert rows[:, 0].tolist() == list(range(12))
    for i, row in enumerate(rows.tolist()):
        own = range(5) if i < 5 else range(5, 12)
        near = sorted(own, key=lambda j: float((place[i] - place[j]).norm()))
        assert set(row) == set(near[:4])
    assert nearest_rows(place[:2], 4, None).tolist() == [[0, 1, -1, -1], [1, 0, -1, -1]]


def test_the_order_of_edges_is_theirs_alone():
    system, one = make(MODELS["gnn"]), event(10)
    order = torch.randperm(one.edge_index.shape[1], generator=torch.Generator().manual_seed(1))
    other = one.clone()
    other.edge_index, other.edge_attr = one.edge_index[:, order], one.edge_attr[order]
    torch.testing.assert_close(score(system, other), score(system, one)[order], atol=1e-6, rtol=1e-5)


def test_the_direction_of_an_edge_matters():
    """Outer and inner are told apart: turning every edge round changes scores (the index order of section 11 a)."""
    system, one = make(MODELS["gnn"]), event(11)
    other = one.clone()
    other.edge_index = one.edge_index.flip(0)
    assert float((score(system, other) - score(system, one)).abs().max()) > 1e-3


def test_without_gates_every_message_counts_alike():
    system, one = make(MODELS["gnn"] | {"gated": False}), event(12)
    assert not any("gates" in name for name, _ in system.named_parameters())
    gated = make(MODELS["gnn"])
    gated.load_state_dict(system.state_dict(), strict=False)
    for gate in gated.network.gates:  # sigmoid(100) = 1
        torch.nn.init.zeros_(gate.linears[-1].weight)
        torch.nn.init.constant_(gate.linears[-1].bias, 100.0)
    torch.testing.assert_close(score(gated, one), score(system, one), atol=1e-6, rtol=1e-5)


def test_unusable_graphs_are_refused_in_one_line():
    system, one = make(MODELS["gnn"]), event(13)
    for field, value, words in (
        ("edge_index", one.edge_index + 1000, "edge_index holds"),
        ("edge_feature_names", ["a", "b", "c", "d", "e"], "edge feature 'delta_raw_energy' is needed"),
    ):
        other = one.clone()
        other[field] = value
        with pytest.raises(DataError, match=words):
            system(other)
    other = one.clone()
    del other.edge_attr
    with pytest.raises(DataError, match="edges came without 'edge_attr'"):
        system(other)


def test_without_a_graph_the_system_builds_that_of_the_event():
    system, one = make(MODELS["gnn"]), event(14)
    bare = Event(pos=one.pos, x=one.x, feature_names=one.feature_names)
    scores = system(bare)
    assert torch.equal(scores.edge_index, one.edge_index)
    torch.testing.assert_close(scores.edge_score, system(one).edge_score, atol=1e-4, rtol=1e-3)
    several = Batch.from_data_list([bare, bare.clone()])
    torch.testing.assert_close(system(several).edge_score, scores.edge_score.repeat(2), atol=1e-5, rtol=1e-4)


def test_dropout_is_active_in_training_alone():
    system, one = make(MODELS["gnn"] | {"dropout": 0.5}), event(15)
    assert torch.equal(score(system, one), score(system, one))
    system.train()
    torch.manual_seed(0)
    first = score(system, one)
    torch.manual_seed(0)
    assert torch.equal(score(system, one), first)
    assert not torch.equal(score(system, one), first)


def test_the_published_initialisation_and_its_option():
    torch.manual_seed(0)
    plain = LinkNetwork(build(LinkingConfig, {"network": "punet", "hidden": 64}))
    for name, parameter in plain.named_parameters():
        if name.endswith("bias") and "norm" not in name:
            assert not bool(parameter.any()), name
    out = plain.attention[0].attention.output.weight
    bound = (6 / (64 + 64)) ** 0.5
    assert 0.9 * bound < float(out.detach().abs().max()) <= bound
    torch.manual_seed(0)
    scaled = LinkNetwork(build(LinkingConfig, {"network": "punet", "hidden": 64, "attention": {"output_gain": 0.5}}))
    torch.testing.assert_close(scaled.attention[0].attention.output.weight, out / 2)
