"""Edge features by hand, across +-pi, at equal radii, and traced."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitloom.ops.edge_features import EDGE_FEATURES, edge_features


def one(r, phi, z=(0.0, 0.0), eta=(0.0, 0.0), **scales) -> dict[str, float]:
    """Features of the edge from the first to the second of two points."""
    columns = (torch.tensor(values, dtype=torch.float64) for values in (r, phi, z, eta))
    values = edge_features(*columns, torch.tensor([[0], [1]]), **scales)
    assert values.shape == (1, 6)
    return dict(zip(EDGE_FEATURES, values[0].tolist(), strict=True))


def test_by_hand():
    values = one([100.0, 300.0], [0.1, 0.1 + 0.25 * math.pi], [-50.0, 450.0], [0.5, 1.25])
    assert values == pytest.approx(
        {"dr": 0.2, "dphi": 0.25, "dz": 0.5, "deta": 0.75, "phislope": 1.25, "rphislope": 0.25}
    )


@pytest.mark.parametrize(
    ("phi", "dphi"),
    [
        ((math.pi - 0.1, -math.pi + 0.1), 0.2 / math.pi),
        ((-math.pi + 0.1, math.pi - 0.1), -0.2 / math.pi),
        ((-3.0, 3.0), (6.0 - 2 * math.pi) / math.pi),
        ((0.0, 3.0), 3.0 / math.pi),
    ],
)
def test_across_pi_the_short_way(phi, dphi):
    values = one([100.0, 200.0], phi)
    assert values["dphi"] == pytest.approx(dphi)
    assert values["phislope"] == pytest.approx(dphi / 0.1)
    assert values["rphislope"] == pytest.approx(0.15 * dphi / 0.1)


def test_equal_radii_give_no_slope_and_no_broken_gradient():
    r = torch.tensor([100.0, 100.0], requires_grad=True)
    phi = torch.tensor([0.0, 1.0], requires_grad=True)
    values = edge_features(r, phi, torch.zeros(2), torch.zeros(2), torch.tensor([[0, 0], [1, 0]]))
    assert values[:, 4:].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    values.sum().backward()
    assert torch.isfinite(r.grad).all()
    assert torch.isfinite(phi.grad).all()


def test_slopes_are_bounded():
    values = one([100.0, 100.001], [0.0, 1.0])
    assert values["phislope"] == 100.0
    assert values["rphislope"] == pytest.approx(10.0, rel=1e-5)
    assert one([100.001, 100.0], [0.0, 1.0])["phislope"] == -100.0


def test_scales():
    values = one([10.0, 30.0], [0.0, 0.1], [0.0, 8.0], [1.0, 2.0], r_scale=10.0, z_scale=4.0, eta_scale=0.5)
    assert (values["dr"], values["dz"], values["deta"]) == pytest.approx((2.0, 2.0, 2.0))


@given(st.lists(st.tuples(*[st.floats(-4, 4, width=32)] * 4), min_size=2, max_size=6), st.randoms())
@settings(max_examples=60, deadline=None)
def test_reversed_and_permuted_edges(points, random):
    r, phi, z, eta = torch.tensor(points, dtype=torch.float64).T
    r = r.abs() * 100
    edges = torch.tensor([[random.randrange(len(points)) for _ in range(8)] for _ in range(2)])
    values = edge_features(r, phi, z, eta, edges)
    assert torch.isfinite(values).all()
    back = edge_features(r, phi, z, eta, edges.flip(0))
    half_turn = (values[:, 1].abs() - 1).abs() < 1e-9  # both ways round are as short
    torch.testing.assert_close(back[~half_turn], (values * torch.tensor([-1, -1, -1, -1, 1, 1]))[~half_turn])
    order = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(0))
    assert torch.equal(edge_features(r, phi, z, eta, edges[:, order]), values[order])


def test_traced_at_sizes_never_seen_no_edge_included():
    def arguments(num_points, num_edges):
        generator = torch.Generator().manual_seed(num_points)
        columns = [torch.rand(num_points, generator=generator) for _ in range(4)]
        return (*columns, torch.randint(0, num_points, (2, num_edges), generator=generator))

    traced = torch.jit.trace(lambda *inputs: edge_features(*inputs), arguments(5, 9))
    for size in ((5, 9), (40, 100), (3, 0)):
        assert torch.equal(traced(*arguments(*size)), edge_features(*arguments(*size)))
