"""CLUE3D against its definition, its laws, and on real layer clusters. M layer clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hitloom.errors import ConfigError, DataError
from hitloom.grouping.clue3d import CLUE3D_PRESETS, Clue3dSettings, clue3d

RECENT = CLUE3D_PRESETS["recent"]
DEPTH = np.concatenate([np.linspace(322, 361, 26), np.linspace(367, 513, 21)])


def showers(num, seed=0, *, each=40):
    """Return columns of layer clusters along lines in both endcaps, with small ones and scintillator."""
    rng = np.random.default_rng(seed)
    count = max(1, num // each)
    eta = rng.uniform(1.6, 2.9, count) * rng.choice([-1, 1], count)
    phi = rng.uniform(-np.pi, np.pi, count)
    one, layer = rng.integers(count, size=num), rng.integers(1, 48, num)
    r = DEPTH[layer - 1] / np.sinh(np.abs(eta[one]))
    return {
        "x": r * np.cos(phi[one]) + rng.normal(0, 1.2, num),
        "y": r * np.sin(phi[one]) + rng.normal(0, 1.2, num),
        "z": DEPTH[layer - 1] * np.sign(eta[one]),
        "energy": rng.exponential(1.5, num),
        "layer": layer,
        "num_hits": rng.integers(1, 8, num),
        "radius": rng.uniform(0, 5, num),
        "scintillator": rng.random(num) < 0.15,
    }


def by_definition(event, settings, masked=None):
    """Labels, seeds, densities and nearest higher from all pairs; no cells."""
    x, y, z, energy, layer = (np.asarray(event[name]) for name in ("x", "y", "z", "energy", "layer"))
    num, s = len(x), settings
    used = event["num_hits"] >= s.min_num_hits
    if masked is not None:
        used &= ~masked
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    eta = np.arcsinh(z / r)
    turn = np.abs(phi[:, None] - phi[None])
    turn = np.minimum(turn, 2 * np.pi - turn)
    reach = np.full(num, s.density_xy_distance_sqr if s.projective else s.density_eta_phi_distance_sqr)
    base = s.critical_xy_distance if s.projective else s.critical_eta_phi_distance
    critical = np.full(num, base)
    if s.projective:
        other = (r / np.abs(z))[None] * np.abs(z)[:, None]
        own = ((r / np.abs(z)) * np.abs(z))[:, None]
        square = (own - other) ** 2 + other**2 * turn**2
        if s.own_radius != "none":
            rows = event["scintillator"] if s.own_radius == "scintillator" else np.ones(num, bool)
            reach[rows], critical[rows] = event["radius"][rows] ** 2, event["radius"][rows]
    else:
        square = (np.abs(eta)[:, None] - np.abs(eta)[None]) ** 2 + turn**2
    steps = np.abs(layer[:, None] - layer[None])
    pair = (steps <= s.density_sibling_layers) & (z[:, None] * z[None] > 0) & used[:, None] & used[None]
    near = pair & (square < reach[:, None]) & ~np.eye(num, dtype=bool)
    if not s.density_on_same_layer:
        near &= steps > 0
    density = np.where(used, energy + s.kernel_density_factor * (near @ energy), 0.0)
    rank = np.empty(num, int)
    rank[np.lexsort((np.arange(num), density))] = np.arange(num)
    higher = pair & (rank[None] > rank[:, None])
    if not s.nearest_higher_on_same_layer:
        higher &= steps > 0
    if s.max_eta_phi is not None:
        higher &= (np.abs(eta[:, None] - eta[None]) <= s.max_eta_phi) & (turn <= s.max_eta_phi)
    total = np.where(higher, square + (z[:, None] - z[None]) ** 2 * s.distance_with_z, np.inf)
    nearest = np.full(num, -1)
    for i in np.flatnonzero(higher.any(1)):
        best = np.flatnonzero(total[i] == total[i].min())
        nearest[i] = best[np.argmax(rank[best])]
    there = nearest >= 0
    rows = np.arange(num)
    delta = np.where(there, np.sqrt(square[rows, nearest]), np.inf)
    gap = np.where(there, steps[rows, nearest], np.inf)
    seed = used & ((delta > critical) | (gap > s.critical_z_distance_layers)) & (density >= s.critical_density)
    seed &= energy > s.critical_self_density * density
    outlier = (delta > s.outlier_multiplier * base) & (density < s.critical_density)
    root = np.full(num, -1)
    for i in np.argsort(rank)[::-1]:
        if seed[i]:
            root[i] = i
        elif used[i] and not outlier[i] and there[i]:
            root[i] = root[nearest[i]]
    for i in np.flatnonzero(seed):
        if (root == i).sum() < s.min_num_layer_clusters:
            root[root == i] = -1
    names = np.unique(root[root >= 0])
    return np.where(root >= 0, np.searchsorted(names, root), -1), seed, density, nearest


def check(event, settings, masked=None):
    found = clue3d(**event, settings=settings, masked=masked)
    labels, seed, density, nearest = by_definition(event, settings, masked)
    np.testing.assert_allclose(found.density, density, rtol=1e-12)
    assert found.nearest_higher.tolist() == nearest.tolist()
    assert found.is_seed.tolist() == seed.tolist()
    assert found.labels.tolist() == labels.tolist()
    return found


def same_groups(one, other):
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    injective = len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    return injective and ((one < 0) == (other < 0)).all()


@pytest.mark.parametrize("preset", sorted(CLUE3D_PRESETS))
@pytest.mark.parametrize("projective", [True, False])
def test_equals_the_definition_at_2000_layer_clusters(preset, projective):
    settings = CLUE3D_PRESETS[preset].model_copy(update={"projective": projective})
    found = check(showers(2000), settings)
    assert found.num_tracksters > 5
    assert (found.labels < 0).any()


@pytest.mark.parametrize(
    "change",
    [
        {"own_radius": "all", "density_on_same_layer": True, "nearest_higher_on_same_layer": True},
        {"max_eta_phi": 0.05, "critical_self_density": 0.5},
        {"density_sibling_layers": 9, "critical_z_distance_layers": 2, "distance_with_z": True},
        {"outlier_multiplier": 0.5, "min_num_layer_clusters": 5, "min_num_hits": 4},
        {"density_xy_distance_sqr": 1e4, "critical_xy_distance": 80.0},
        {"density_sibling_layers": 0, "density_on_same_layer": True, "nearest_higher_on_same_layer": True},
    ],
)
def test_every_switch(change):
    check(showers(500, seed=2), RECENT.model_copy(update=change))


@given(
    st.lists(
        st.tuples(
            st.integers(-2, 2), st.integers(-2, 2), st.integers(1, 6), st.integers(0, 3), st.sampled_from([-1, 1])
        ),
        max_size=25,
    ),
    st.sampled_from(["recent", "oldest"]),
    st.booleans(),
)
@hypothesis_settings(max_examples=80, deadline=None)
def test_ties_and_duplicates(rows, preset, same_layer):
    """Clusters in columns: equal distances, equal energies and equal places are the rule."""
    table = np.array(rows, dtype=int).reshape(-1, 5)
    z = (320.0 + 2 * table[:, 2]) * table[:, 4]
    event = {
        "x": (30 + table[:, 0]) * np.abs(z) / 320,
        "y": table[:, 1] * np.abs(z) / 320,
        "z": z,
        "energy": table[:, 3] / 2.0,
        "layer": table[:, 2],
        "num_hits": np.full(len(table), 2),
        "radius": np.ones(len(table)),
        "scintillator": table[:, 0] == 0,
    }
    check(event, CLUE3D_PRESETS[preset].model_copy(update={"density_on_same_layer": same_layer}))


def test_mirrored_event_gives_mirrored_tracksters():
    """Both endcaps start at their first layer (the stored versions skip it on one side)."""
    event = showers(1000, seed=3)
    event["layer"] = np.maximum(event["layer"] - 30, 1)  # many on the first layer
    event["z"] = np.sign(event["z"]) * DEPTH[event["layer"] - 1]
    for settings in CLUE3D_PRESETS.values():
        one, other = clue3d(**event, settings=settings), clue3d(**(event | {"z": -event["z"]}), settings=settings)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.leader.tolist() == other.leader.tolist()
    leaders = one.leader[one.leader >= 0]
    for sign in (-1, 1):
        assert ((event["layer"][leaders] == 1) & (event["z"][leaders] * sign > 0)).any()


@pytest.mark.parametrize("projective", [True, False])
def test_a_shower_at_phi_pi_is_the_one_at_zero_rotated(projective):
    event = showers(400, seed=4, each=400)
    r, wide = np.hypot(event["x"], event["y"]), np.random.default_rng(4).normal(0, 0.01, 400)
    settings = RECENT.model_copy(update={"projective": projective})
    event |= {"x": r * np.cos(wide), "y": r * np.sin(wide)}
    one = clue3d(**event, settings=settings)
    other = clue3d(**(event | {"x": -event["x"], "y": -event["y"]}), settings=settings)
    assert one.num_tracksters > 0
    assert one.labels.tolist() == other.labels.tolist()


def test_endcaps_never_mix_and_small_clusters_stay_out():
    event = showers(3000, seed=5, each=300)
    event["x"], event["y"] = np.abs(event["x"]), np.abs(event["y"])
    found = clue3d(**event)
    for label in range(found.num_tracksters):
        assert len(set(np.sign(event["z"][found.labels == label]))) == 1
    assert (found.labels[event["num_hits"] < 2] == -1).all()
    assert not found.is_seed[event["num_hits"] < 2].any()
    assert (event["num_hits"] < 2).any()


def test_masked_clusters_are_as_if_absent():
    event = showers(800, seed=6)
    masked = np.random.default_rng(6).random(800) < 0.4
    found = check(event, RECENT, masked)
    assert (found.labels[masked] == -1).all()
    alone = clue3d(**{name: column[~masked] for name, column in event.items()})
    assert found.labels[~masked].tolist() == alone.labels.tolist()


@given(st.integers(0, 10_000))
@hypothesis_settings(max_examples=10, deadline=None)
def test_permutation_permutes(seed):
    event = showers(300, seed)
    order = np.random.default_rng(seed).permutation(300)
    one, moved = clue3d(**event), clue3d(**{name: column[order] for name, column in event.items()})
    assert moved.density.tolist() == one.density[order].tolist()
    assert same_groups(one.labels[order], moved.labels)


def test_links_are_trees():
    event = showers(2000, seed=7)
    found = clue3d(**event)
    sizes = np.bincount(found.labels[found.labels >= 0])
    leader, follower = found.links
    assert sizes.min() >= 2
    assert len(follower) == (sizes - 1).sum()
    assert (found.labels[leader] == found.labels[follower]).all()
    roots = (found.labels >= 0) & (found.leader < 0)
    assert (found.is_seed[roots]).all()
    assert roots.sum() == found.num_tracksters
    assert found.is_seed.sum() > found.num_tracksters  # seeds of dropped tracksters keep their flag
    assert np.isinf(found.delta[found.nearest_higher < 0]).all()


def test_rescaling_divides_by_the_depth_of_the_window():
    event = showers(500, seed=8)
    event["num_hits"] = np.full(500, 2)
    plain = clue3d(**event)
    scaled = clue3d(**event, settings=RECENT.model_copy(update={"rescale_density_by_z": True}))
    present = np.unique(event["layer"])
    for i in range(0, 500, 50):
        window = present[np.abs(present - event["layer"][i]) <= 3]
        depth = DEPTH[window.max() - 1] - DEPTH[window.min() - 1]
        assert scaled.density[i] == pytest.approx(plain.density[i] / depth)


def test_nothing_and_one():
    empty = {name: column[:0] for name, column in showers(4).items()}
    assert clue3d(**empty).num_tracksters == 0
    one = {name: column[:1] for name, column in showers(4).items()} | {"energy": [5.0], "num_hits": [3]}
    found = clue3d(**one)
    assert found.is_seed.tolist() == [True]
    assert found.labels.tolist() == [-1]  # one layer cluster is too few
    still = clue3d(**(one | {"energy": [0.0]}), settings=RECENT.model_copy(update={"critical_density": 0.0}))
    assert still.density.tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": [0.0, 320.0]}, "layer cluster 0 came with z 0.0"),
        ({"energy": [1.0, np.nan]}, "layer cluster 1 came with energy nan"),
        ({"energy": [1.0, -1.0]}, "at least 0"),
        ({"layer": [1]}, "column 'layer'"),
    ],
)
def test_bad_columns(change, message):
    event = {name: column[:2] for name, column in showers(4).items()} | change
    with pytest.raises(DataError, match=message):
        clue3d(**event)


def test_presets_hold_the_published_numbers():
    assert [CLUE3D_PRESETS[name].critical_density for name in ("oldest", "later", "recent")] == [4.0, 4.0, 0.6]
    assert [CLUE3D_PRESETS[name].density_sibling_layers for name in ("oldest", "later", "recent")] == [5, 3, 3]
    assert [CLUE3D_PRESETS[name].density_xy_distance_sqr for name in ("oldest", "later", "recent")] == [16, 3.24, 3.24]
    assert [CLUE3D_PRESETS[name].critical_xy_distance for name in ("oldest", "later", "recent")] == [4.0, 1.8, 1.8]
    assert {Clue3dSettings().critical_self_density, RECENT.critical_self_density} == {0.15}
    with pytest.raises(ConfigError, match="Did you mean 'recent'"):
        from hitloom.data.clue3d_tracksters import get_preset

        get_preset("recents")
