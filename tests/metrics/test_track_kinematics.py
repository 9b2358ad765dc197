"""The circle fit against exact helices, a slow reference fit, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from hitloom.errors import DataError
from hitloom.metrics import EventTruth, Selection, match_event, rate, track_kinematics
from hitloom.units import GEV_PER_TESLA_MM


def helix(pt, eta, phi, charge, *, num_hits=8, field=2.0, start=(0.0, 0.0, 0.0), reach=None):
    """Points of an exact helix from ``start``; a positive charge in a positive field turns towards -phi."""
    radius = pt / (GEV_PER_TESLA_MM * abs(field))
    turn = -charge * np.sign(field)
    longest = 1.5 * radius if reach is None else min(reach, 1.5 * radius)
    arc = np.linspace(longest / num_hits, longest, num_hits)
    angle = phi + turn * arc / radius
    x = start[0] + turn * radius * (np.sin(angle) - np.sin(phi))
    y = start[1] - turn * radius * (np.cos(angle) - np.cos(phi))
    return np.stack([x, y, start[2] + arc * np.sinh(eta)], axis=1)


def many(num_tracks, rng, **options):
    parameters = {
        "pt": np.exp(rng.uniform(np.log(0.2), np.log(50), num_tracks)),
        "eta": rng.uniform(-3.5, 3.5, num_tracks),
        "phi": rng.uniform(-np.pi, np.pi, num_tracks),
        "charge": rng.choice([-1, 1], num_tracks),
    }
    hits = [
        helix(*(parameters[name][i] for name in ("pt", "eta", "phi", "charge")), reach=1000.0, **options)
        for i in range(num_tracks)
    ]
    labels = np.repeat(np.arange(num_tracks), [len(h) for h in hits])
    return parameters, np.concatenate(hits), labels


@pytest.mark.parametrize("beam_spot", [None, (0.0, 0.0)])
@pytest.mark.parametrize("field", [2.0, -3.8])
def test_exact_helices_from_the_beam_line(beam_spot, field):
    rng = np.random.default_rng(1)
    true, pos, labels = many(300, rng, field=field)
    order = rng.permutation(labels.size)
    fit = track_kinematics(pos[order], labels[order], field_tesla=field, beam_spot=beam_spot)
    assert fit.track_id.tolist() == list(range(300))
    np.testing.assert_allclose(fit.pt, true["pt"], rtol=1e-6)
    np.testing.assert_allclose(fit.eta, true["eta"], atol=1e-6)
    assert np.abs(np.angle(np.exp(1j * (fit.phi - true["phi"])))).max() < 1e-6
    np.testing.assert_array_equal(fit.charge, true["charge"])


def test_displaced_helices_keep_pt_and_eta():
    rng = np.random.default_rng(2)
    true, pos, labels = many(200, rng, start=(13.0, -40.0, 55.0))
    fit = track_kinematics(pos, labels)
    np.testing.assert_allclose(fit.pt, true["pt"], rtol=1e-6)
    np.testing.assert_allclose(fit.eta, true["eta"], atol=1e-6)
    shifted = track_kinematics(pos, labels, beam_spot=(13.0, -40.0))
    np.testing.assert_allclose(shifted.pt, true["pt"], rtol=1e-6)
    assert np.abs(np.angle(np.exp(1j * (shifted.phi - true["phi"])))).max() < 1e-6


def test_straight_track():
    s = np.linspace(30, 1000, 7)
    pos = np.stack([s * np.cos(0.7), s * np.sin(0.7), s * np.sinh(1.2)], axis=1)
    for beam_spot in (None, (0.0, 0.0)):
        fit = track_kinematics(pos, [0] * 7, beam_spot=beam_spot)
        assert fit.pt[0] > 1e6
        assert fit.eta[0] == pytest.approx(1.2)
        assert fit.phi[0] == pytest.approx(0.7)


def test_noisy_hits_agree_with_a_geometric_fit():
    rng = np.random.default_rng(3)
    true, pos, labels = many(40, rng)
    pos[:, :2] += rng.normal(0, 0.02, (len(pos), 2))
    fit = track_kinematics(pos, labels)
    for i in range(40):
        x, y = pos[labels == i, :2].T
        radius = fit.pt[i] / (2 * GEV_PER_TESLA_MM)
        sign = -fit.charge[i]

        def distance(p, x=x, y=y, sign=sign):
            """Signed distance to the circle of curvature p[0] whose nearest point is p[2] to the side of phi p[1]."""
            k = sign * p[0]
            nx, ny = -np.sin(p[1]), np.cos(p[1])
            d = x * nx + y * ny - p[2]
            along = x * np.cos(p[1]) + y * np.sin(p[1])
            return (k * (along**2 + d**2) - 2 * d) / (1 + np.sqrt(1 + k * (k * (along**2 + d**2) - 2 * d)))

        best = least_squares(distance, [1 / radius, fit.phi[i], 0.0], x_scale=[1e-4, 1e-3, 0.1])
        resolution = 0.02 * np.sqrt(np.linalg.inv(best.jac.T @ best.jac)[0, 0])
        assert abs(1 / radius - best.x[0]) < 0.1 * resolution
    assert np.median(np.abs(fit.pt / true["pt"] - 1)) < 0.01


def test_tracks_that_fix_no_circle():
    point = [10.0, 5.0, 1.0]
    other = [20.0, 9.0, 3.0]
    fit = track_kinematics([point, other, point, point, other, point, point, point], [0, 0, 1, 2, 2, 2, 3, -1])
    assert np.isnan(fit.pt).all()
    assert np.isnan(fit.eta).all()
    assert fit.charge.tolist() == [0, 0, 0, 0]
    assert fit.num_points.tolist() == [2, 1, 3, 1]
    assert np.isfinite(track_kinematics([point, other], [0, 0], beam_spot=(0.0, 0.0)).pt).all()
    assert track_kinematics(np.zeros((0, 3)), np.zeros(0, np.int64)).pt.shape == (0,)


def test_bad_input():
    with pytest.raises(DataError, match=r"shape \(2, 3\) was wanted"):
        track_kinematics(np.zeros((3, 3)), [0, 0])
    with pytest.raises(DataError, match="field"):
        track_kinematics(np.zeros((2, 3)), [0, 0], field_tesla=0.0)


def test_fake_rate_cut_on_the_tracks_own_pt():
    # Three tracks: particle of 5 GeV found; soft particle found; a hard mixed track that nobody owns by majority.
    hard, soft = helix(5.0, 0.1, 0.2, 1, reach=900.0), helix(0.3, 0.5, 2.0, -1, reach=300.0)
    mixed = helix(8.0, -0.4, -1.5, 1, reach=900.0)
    pos = np.concatenate([hard, soft, mixed])
    labels = np.repeat([0, 1, 2], 8)
    index = np.concatenate([np.full(8, 0), np.full(8, 1), [2, 2, 2, 2, -1, -1, -1, -1]])
    truth = EventTruth(object_index=index, object_id=[1, 2, 3], pt=[5.0, 0.3, 0.2], eta=[0.1, 0.5, 2.0], phi=[0, 0, 0])
    selection = Selection(min_pt=1.0, max_abs_eta=2.5)
    fit = track_kinematics(pos, labels)
    counts = match_event(labels, truth, selection, kinematics=fit)["double_majority"]
    assert rate("fake_per_fitted_track", counts) == 1 / 2, "the soft track leaves, the fake stays"
    assert rate("fake_per_track", counts) == 1 / 3
    assert rate("fake_per_selected_track", counts) == 0, "the flattering one"
    # A track without a fit cannot be cut away.
    fit.pt[2] = fit.eta[2] = np.nan
    again = match_event(labels, truth, selection, kinematics=fit)["double_majority"]
    assert (again["num_track_side"], again["num_unfitted_tracks"]) == (2, 1)
    with pytest.raises(DataError, match="track 2 has no fitted parameters"):
        match_event(labels, truth, selection, kinematics=track_kinematics(pos[:16], labels[:16]))
