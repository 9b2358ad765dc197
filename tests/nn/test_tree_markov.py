"""Exact inference on forests against the sum over all configurations, and the laws that it must keep."""

from __future__ import annotations

import itertools

import networkx
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.errors import DataError
from hitloom.nn.forest import Forest
from hitloom.nn.tree_markov import (
    configuration_log_probability,
    configuration_score,
    log_marginals,
    log_partition,
    map_configuration,
    sample,
)

CASES = st.tuples(
    st.integers(0, 6), st.integers(0, 10_000), st.sampled_from([0.3, 2.0, 30.0]), st.sampled_from([2, 2, 3])
)  # number of nodes, seed, scale of the potentials, number of states


def random_links(num_nodes: int, rng: np.random.Generator, *, root_share: float = 0.3) -> torch.Tensor:
    """Links of a random forest whose nodes are in no order of depth."""
    name = rng.permutation(num_nodes)
    chosen = [node for node in range(1, num_nodes) if rng.random() > root_share]
    pairs = [(name[rng.integers(0, node)], name[node]) for node in chosen]
    rng.shuffle(pairs)
    return torch.tensor(np.array(pairs, dtype=np.int64).reshape(-1, 2).T.copy())


def random_model(
    num_nodes: int, seed: int, scale: float, num_states: int = 2
) -> tuple[torch.Tensor, torch.Tensor, Forest]:
    rng = np.random.default_rng([seed, num_nodes])
    links = random_links(num_nodes, rng)
    phi = torch.from_numpy(rng.normal(0, scale, (num_nodes, num_states)))
    psi = torch.from_numpy(rng.normal(0, scale, (links.shape[1], num_states, num_states)))
    return phi, psi, Forest.from_links(links, num_nodes)


def all_configurations(num_nodes: int, num_states: int = 2) -> torch.Tensor:
    rows = np.array(list(itertools.product(range(num_states), repeat=num_nodes)), dtype=np.int64)
    return torch.from_numpy(rows.reshape(num_states**num_nodes, num_nodes))


def sums_by_state(weight: torch.Tensor, configurations: torch.Tensor, num_states: int) -> torch.Tensor:
    """Probability (N, K) of each state of each node, from that of every configuration."""
    return torch.stack([weight @ (configurations == state).to(weight) for state in range(num_states)], 1)


def brute_score(labels, phi, psi, links) -> float:
    """The definition, term by term."""
    total = sum(float(phi[node, label]) for node, label in enumerate(labels))
    return total + sum(float(psi[e, labels[c], labels[p]]) for e, (p, c) in enumerate(links.T.tolist()))


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_log_z_marginals_and_map_equal_the_sum_over_all_configurations(case):
    num_nodes, _, _, num_states = case
    phi, psi, forest = random_model(*case)
    configurations = all_configurations(num_nodes, num_states)
    scores = [brute_score(labels, phi, psi, forest.edge_index) for labels in configurations.tolist()]
    score = torch.tensor(scores, dtype=torch.float64)
    expected_log_z = torch.logsumexp(score, 0)
    torch.testing.assert_close(log_partition(phi, psi, forest)[0], expected_log_z)
    torch.testing.assert_close(configuration_score(configurations, phi, psi, forest)[:, 0], score)
    weight = (score - expected_log_z).exp()
    expected = sums_by_state(weight, configurations, num_states)
    torch.testing.assert_close(log_marginals(phi, psi, forest).exp(), expected)
    best = map_configuration(phi, psi, forest)
    torch.testing.assert_close(configuration_score(best, phi, psi, forest)[0], score.max())


def test_ten_nodes_and_two_roots_in_single_precision():
    rng = np.random.default_rng(3)
    links = torch.tensor([[8, 8, 3, 3, 0, 5, 5, 9], [3, 0, 1, 2, 4, 6, 7, 5]])  # roots 8 and 9
    phi, psi = (torch.from_numpy(rng.normal(0, 2, size)).float() for size in ((10, 2), (8, 2, 2)))
    forest = Forest.from_links(links, 10)
    assert len(forest.levels[0].nodes) == 2
    configurations = all_configurations(10)
    log_p = configuration_log_probability(configurations, phi, psi, forest)[:, 0]
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    expected = sums_by_state(log_p.exp(), configurations, 2)
    torch.testing.assert_close(log_marginals(phi, psi, forest).exp(), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(map_configuration(phi, psi, forest), configurations[int(log_p.argmax())])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 10_000))
def test_the_union_of_graphs_gives_what_each_gives_alone(sizes, seed):
    alone = [random_model(size, seed + number, 1.5) for number, size in enumerate(sizes)]
    offset = np.concatenate([[0], np.cumsum(sizes)])
    links = torch.cat([model[2].edge_index + int(first) for model, first in zip(alone, offset, strict=False)], 1)
    graph = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    phi, psi = torch.cat([model[0] for model in alone]), torch.cat([model[1] for model in alone])
    union = Forest.from_links(links, int(offset[-1]), graph=graph, num_graphs=len(sizes))
    torch.testing.assert_close(log_partition(phi, psi, union), torch.cat([log_partition(*model) for model in alone]))
    torch.testing.assert_close(log_marginals(phi, psi, union), torch.cat([log_marginals(*model) for model in alone]))
    assert torch.equal(map_configuration(phi, psi, union), torch.cat([map_configuration(*model) for model in alone]))
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (3, int(offset[-1]))))
    together = configuration_log_probability(labels, phi, psi, union)
    for number, model in enumerate(alone):
        part = labels[:, offset[number] : offset[number + 1]]
        torch.testing.assert_close(together[:, number], configuration_log_probability(part, *model)[:, 0])


@settings(max_examples=20, deadline=None)
@given(CASES.filter(lambda case: case[0] > 0))
def test_the_gradient_of_log_z_is_the_marginals(case):
    """Two ways to the same numbers: the derivative of log Z, and the pass downward."""
    phi, psi, forest = random_model(*case)
    phi.requires_grad_()
    psi.requires_grad_()
    gradient = torch.autograd.grad(log_partition(phi, psi, forest).sum(), (phi, psi), allow_unused=True)
    torch.testing.assert_close(gradient[0], log_marginals(phi, psi, forest).detach().exp(), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(gradient[0].sum(1), torch.ones(len(phi)).double())
    if len(psi):  # pairs: the joint marginal of a link, whose sums over one end are the marginals of the other
        child = forest.edge_index[1]
        torch.testing.assert_close(gradient[1].sum(2), gradient[0][child])


def test_gradients_are_finite_where_potentials_are_extreme():
    phi, psi, forest = random_model(8, 5, 1000.0)
    phi.requires_grad_()
    log_z = log_partition(phi, psi, forest)
    assert bool(torch.isfinite(log_z).all())
    assert bool(torch.isfinite(torch.autograd.grad(log_z.sum(), phi)[0]).all())
    assert bool(torch.isfinite(log_marginals(phi, psi, forest)).all())


def test_forbidden_states_leave_the_sum_over_the_others():
    phi, psi, forest = random_model(5, 4, 1.0, 3)
    allowed = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)) < 0.5
    allowed[:, 1] |= ~allowed.any(1)
    masked = phi.masked_fill(~allowed, -torch.inf).requires_grad_()
    configurations = all_configurations(5, 3)
    possible = allowed[torch.arange(5), configurations].all(1)
    score = configuration_score(configurations[possible], phi, psi, forest)[:, 0]
    log_z = log_partition(masked, psi, forest)[0]
    torch.testing.assert_close(log_z, score.logsumexp(0))
    gradient = torch.autograd.grad(log_z, masked)[0]
    expected = sums_by_state((score - log_z.detach()).exp(), configurations[possible], 3)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(log_marginals(masked, psi, forest).exp(), expected)


@pytest.mark.parametrize(("num_nodes", "num_states"), [(5, 2), (3, 3)])
def test_samples_follow_the_exact_probabilities(num_nodes, num_states):
    phi, psi, forest = random_model(num_nodes, 11, 0.8, num_states)
    configurations = all_configurations(num_nodes, num_states)
    expected = configuration_log_probability(configurations, phi, psi, forest)[:, 0].exp().numpy()
    num_samples = 20_000
    drawn = sample(phi, psi, forest, num_samples=num_samples, generator=torch.Generator().manual_seed(2))
    assert (drawn.shape, drawn.dtype) == ((num_samples, num_nodes), torch.int64)
    code = (drawn * num_states ** torch.arange(num_nodes - 1, -1, -1)).sum(1).numpy()
    found = np.bincount(code, minlength=len(configurations))
    chi2 = ((found - num_samples * expected) ** 2 / (num_samples * expected)).sum()
    assert chi2 < scipy.stats.chi2.ppf(0.999, len(configurations) - 1)
    again = sample(phi, psi, forest, num_samples=num_samples, generator=torch.Generator().manual_seed(2))
    assert torch.equal(drawn, again)


def test_a_chain_has_one_level_for_each_node_and_equals_a_product_of_matrices():
    num_nodes = 60
    rng = np.random.default_rng(0)
    links = torch.stack([torch.arange(num_nodes - 1), torch.arange(1, num_nodes)])
    phi, psi = (torch.from_numpy(rng.normal(size=size)) for size in ((num_nodes, 2), (num_nodes - 1, 2, 2)))
    forest = Forest.from_links(links, num_nodes)
    assert [len(level.nodes) for level in forest.levels] == [1] * num_nodes
    vector = np.exp(phi[0].numpy())
    for node in range(1, num_nodes):
        vector = np.exp(phi[node].numpy()) * (np.exp(psi[node - 1].numpy()) @ vector)
    assert float(log_partition(phi, psi, forest)) == pytest.approx(np.log(vector.sum()), rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_levels_are_the_depths_that_a_walk_from_the_roots_finds(num_nodes, seed):
    links = random_links(num_nodes, np.random.default_rng([seed, num_nodes]))
    forest = Forest.from_links(links, num_nodes)
    tree = networkx.DiGraph()
    tree.add_nodes_from(range(num_nodes))
    tree.add_edges_from(links.T.tolist())
    for depth, nodes in enumerate(networkx.topological_generations(tree)):
        assert sorted(nodes) == sorted(forest.levels[depth].nodes.tolist())
    for above, level in itertools.pairwise(forest.levels):
        pairs = torch.stack([above.nodes[level.place], level.nodes])
        assert torch.equal(pairs, links[:, level.links])


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([[0, 1, 3], [2, 2, 4]], r"graph 0: the links are no forest: node 2 has 2 links from above"),
        ([[3, 4, 5], [4, 5, 3]], r"graph 1: the links are no forest: node 0 comes back to a circle"),
        ([[1], [1]], r"node 1 comes back to a circle"),
        ([[0, 0], [1, 6]], "a link leads to node 6, and there are 6 nodes"),
        ([[0, -1], [1, 2]], "a link leads to node -1"),
    ],
)
def test_links_that_are_no_forest_are_refused(links, message):
    with pytest.raises(DataError, match=message):
        Forest.from_links(torch.tensor(links), 6, graph=torch.tensor([0, 0, 0, 1, 1, 1]), num_graphs=2)


def test_links_of_another_shape_are_refused_and_the_event_is_named():
    with pytest.raises(DataError, match="wanted int64 of shape"):
        Forest.from_links(torch.zeros(2, 3), 3)
    with pytest.raises(DataError, match=r"file.root\[event 7\]: the links are no forest"):
        Forest.from_links(torch.tensor([[0], [0]]), 1, describe=lambda graph: f"file.root[event {graph + 7}]")
