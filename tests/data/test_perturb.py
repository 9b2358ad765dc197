"""Perturbed events: shifts with the covariance of the principal axes, offsets, smearing; nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitloom.data.perturb import (
    ErrorBars,
    FeatureOffset,
    Smearing,
    make_perturbation,
    move_points,
    natural_kind,
)
from hitloom.data.principal_axes import principal_axes
from hitloom.data.trackster_features import NODE_FEATURES, edge_features
from hitloom.errors import ConfigError, DataError
from hitloom.event import Event
from tracker_toy import rich_event
from trackster_toy import toy_trackster_event

CENTRE, SIGMA = list(NODE_FEATURES[:3]), ["sigmaPCA1", "sigmaPCA2", "sigmaPCA3"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unchanged(first: Event, second: Event, *, but: set[str]) -> bool:
    """Whether all fields but these are the same."""
    one, other = first.to_dict(), second.to_dict()
    assert list(one) == list(other)
    return all(
        torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
        for name in one
        if name not in but
    )


def covariance_of_members(event: Event, row: int) -> np.ndarray:
    """Oracle: the covariance of one trackster's layer clusters, cm2, by numpy alone."""
    part, point = event.member_index.numpy()
    mine = part[point == row]
    weight = (event.member_fraction.numpy()[point == row] * event.part_energy.numpy()[mine]).astype(np.float64)
    return np.cov(event.part_pos.numpy()[mine].astype(np.float64).T / 10, aweights=weight / weight.sum(), ddof=1)


def test_the_shifts_have_the_covariance_of_the_error_bars():
    event = toy_trackster_event(1, num_particles=4)
    axes, sigma = principal_axes(event).numpy(), event.columns(SIGMA).double().numpy()
    shifts = ErrorBars().shifts(event, 40_000, generator()).numpy()
    wanted = np.einsum("nki,nk,nkj->nij", axes, sigma**2, axes)
    scale = np.sqrt(np.einsum("nii,njj->nij", wanted, wanted)) + 1e-12
    found = np.einsum("sni,snj->nij", shifts, shifts) / len(shifts)
    assert np.abs((found - wanted) / scale).max() < 0.04
    for row in range(event.num_points):  # V diag(sigma^2) V^T is the covariance that the spreads come from
        members = covariance_of_members(event, row)
        assert np.abs(wanted[row] - members).max() < 2e-3 * np.abs(members).max() + 1e-6
    elementwise = ErrorBars(formula="elementwise").shifts(event, 40_000, generator()).numpy()
    other = np.einsum("sni,snj->nij", elementwise, elementwise) / len(elementwise)
    assert np.abs((other - wanted) / scale).max() > 0.5


def test_the_published_formula_is_elementwise():
    event = toy_trackster_event(2, num_particles=2)
    noise = torch.randn(1, event.num_points, 3, generator=generator(5), dtype=torch.float64)
    wanted = noise * event.columns(SIGMA).double() * event.columns(list(NODE_FEATURES[5:8])).double()
    torch.testing.assert_close(ErrorBars(formula="elementwise").shifts(event, 1, generator(5)), wanted)


@pytest.mark.parametrize("formula", ["axes", "elementwise"])
def test_with_z_means_what_it_says(formula: str):
    event = toy_trackster_event(3)
    moved = ErrorBars(with_z=True, formula=formula)(event, generator())  # type: ignore[arg-type]
    flat = ErrorBars(with_z=False, formula=formula)(event, generator())  # type: ignore[arg-type]
    assert bool((moved.pos[:, 2] != event.pos[:, 2]).all())
    assert torch.equal(flat.pos[:, 2], event.pos[:, 2])
    assert torch.equal(flat.pos[:, :2], moved.pos[:, :2])
    assert torch.equal(flat.columns(["barycenter_z"]), event.columns(["barycenter_z"]))


def test_positions_and_angles_agree_and_the_rest_stays():
    event = toy_trackster_event(4)
    before = event.clone()
    moved = ErrorBars()(event, generator())
    assert unchanged(event, before, but=set())
    assert unchanged(event, moved, but={"pos", "x"})
    torch.testing.assert_close(moved.columns(CENTRE) * 10, moved.pos, rtol=1e-6, atol=1e-2)
    x, y, z = moved.columns(CENTRE).double().T
    torch.testing.assert_close(moved.columns(["barycenter_eta"])[:, 0].double(), torch.asinh(z / torch.hypot(x, y)))
    torch.testing.assert_close(moved.columns(["barycenter_phi"])[:, 0].double(), torch.atan2(y, x))
    rest = [name for name in event.column_names() if name not in NODE_FEATURES[:5]]
    assert torch.equal(moved.columns(rest), event.columns(rest))
    kept = ErrorBars(angles=False)(event, generator())
    assert torch.equal(kept.columns(list(NODE_FEATURES[3:5])), event.columns(list(NODE_FEATURES[3:5])))


@pytest.mark.parametrize("skeleton", [False, True])
def test_edge_features_follow_by_option(skeleton: bool):
    event = toy_trackster_event(5, skeleton_features=skeleton)
    assert event.edge_attr.shape[1] == (7 if skeleton else 5)
    moved = ErrorBars(edges=True)(event, generator())
    wanted = edge_features(moved.columns(list(NODE_FEATURES)).double().numpy(), event.edge_index.numpy())
    torch.testing.assert_close(moved.edge_attr[:, :5].double(), torch.from_numpy(wanted), atol=1e-4, rtol=1e-5)
    assert not torch.equal(moved.edge_attr[:, 1:3], event.edge_attr[:, 1:3])
    assert torch.equal(moved.edge_attr[:, 5:], event.edge_attr[:, 5:])
    del event.edge_attr
    with pytest.raises(DataError, match="no edge features"):
        ErrorBars(edges=True)(event, generator())


def test_axes_are_orthonormal_without_layer_clusters_too():
    event = toy_trackster_event(6)
    whole = principal_axes(event)
    for name in ("member_index", "member_fraction", "part_pos", "part_energy"):
        del event[name]
    event.x = event.x.clone()
    event.x[0, 5:8] = 0.0  # a file may hold no axis
    axes = principal_axes(event)
    unit = torch.eye(3, dtype=torch.float64).expand_as(axes)
    for found in (whole, axes):
        torch.testing.assert_close(found @ found.transpose(1, 2), unit, atol=1e-6, rtol=0)
    torch.testing.assert_close(axes[1:, 0], whole[1:, 0])


def test_one_offset_for_all_points():
    event = toy_trackster_event(7)
    values = [FeatureOffset(feature="raw_energy", max_offset=0.5)(event, generator(seed)) for seed in range(30)]
    offsets = torch.stack([(value.x - event.x)[:, 16] for value in values])
    assert float(offsets.abs().max()) <= 0.5 + 1e-4
    assert float(offsets.std(1).max()) < 1e-4
    assert float(offsets.mean(1).std()) > 0.1
    assert unchanged(event, values[0], but={"x"})
    with pytest.raises(DataError, match="Did you mean 'raw_energy'"):
        FeatureOffset(feature="raw_enrgy")(event, generator())


def test_smeared_hits_keep_their_features_in_step():
    event = rich_event(4000, 1)
    moved = Smearing(sigma=(0.1, 0.2, 0.0))(event, generator())
    shift = (moved.pos - event.pos).double()
    assert shift.std(0).tolist() == pytest.approx([0.1, 0.2, 0.0], abs=0.01)
    x, y, _ = moved.pos.double().T
    torch.testing.assert_close(moved.columns(["r"])[:, 0].double(), torch.hypot(x, y), rtol=1e-6, atol=1e-3)
    torch.testing.assert_close(moved.columns(["phi"])[:, 0].double(), torch.atan2(y, x), rtol=0, atol=1e-5)
    assert torch.equal(moved.columns(["z"])[:, 0], moved.pos[:, 2])
    assert unchanged(event, moved, but={"pos", "x"})


def test_smeared_tracksters_are_in_step_too():
    event = toy_trackster_event(8)
    moved = Smearing(sigma=(3.0, 3.0, 3.0))(event, generator())
    torch.testing.assert_close(moved.columns(CENTRE) * 10, moved.pos, rtol=1e-6, atol=1e-2)


def test_the_same_seed_gives_the_same_event():
    event = toy_trackster_event(9)
    first, second, other = (ErrorBars()(event, generator(seed)).x for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_event_without_points():
    event = toy_trackster_event(0, num_particles=0)
    assert ErrorBars(edges=True)(event, generator()).num_points == 0
    assert move_points(event, torch.zeros(0, 3, dtype=torch.float64)).num_points == 0


def test_the_natural_kind_and_what_is_refused():
    assert natural_kind(toy_trackster_event(1)) == "error-bars"
    assert natural_kind(rich_event(20, 1)) == "smear"
    assert make_perturbation("smear", sigma=(0.1,)) == Smearing(sigma=(0.1, 0.1, 0.1))
    assert make_perturbation("error-bars", elementwise=True).settings()["formula"] == "elementwise"
    with pytest.raises(ConfigError, match="Did you mean 'smear'"):
        make_perturbation("smera")
    with pytest.raises(ConfigError, match="no feature is named"):
        make_perturbation("offset")
    with pytest.raises(ConfigError, match="three of 0 mm or more"):
        make_perturbation("smear", sigma=(-1.0,))
    with pytest.raises(DataError, match="sigmaPCA1"):
        ErrorBars()(rich_event(20, 1), generator())
