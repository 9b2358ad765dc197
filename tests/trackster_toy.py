"""Toy events of a calorimeter: particles as lines of layer clusters, cut into tracksters. Shared by tests of any floor.

Everything is random but seeded; the numbers are not physical. Lengths cm in the tables, mm in the event.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hitloom.data.layer_clusters import CaloTruth, LayerClusters, Tracksters
from hitloom.data.trackster_event import trackster_event
from hitloom.event import Event

LAYER_Z = np.concatenate([np.linspace(322, 361, 26), np.linspace(368, 513, 21)])


def trackster_tables(
    seed: int = 0,
    *,
    num_particles: int = 6,
    num_pileup: int = 0,
    num_layers_each: int = 16,
    pieces: int = 3,
    shared: float = 0.1,
    missing_time: float = 0.3,
) -> tuple[LayerClusters, Tracksters, CaloTruth]:
    """Return tables of particles in both endcaps.

    Each particle leaves ``num_layers_each`` layer clusters along a line from the collision, cut into ``pieces``
    tracksters. A share ``shared`` of the layer clusters belongs to two particles, and to two tracksters; some are in no
    trackster. Particles come in pairs of one parent. The last ``num_pileup`` are pile-up, which flies beside signal.
    """
    rng = np.random.default_rng(seed)
    number = num_particles + num_pileup
    eta = rng.uniform(1.7, 2.8, number) * np.where(rng.random(number) < 0.5, -1, 1)
    phi = rng.uniform(-np.pi, np.pi, number)
    for one in range(1, number):  # pairs fly close by, and pile-up beside signal
        beside = one - 1 if one % 2 else one - num_particles
        if one % 2 or 0 <= beside < num_particles:
            eta[one] = eta[beside] + rng.normal(0, 0.05)
            phi[one] = phi[beside] + rng.normal(0, 0.05)
    energy = np.where(np.arange(number) < num_particles, rng.uniform(20, 200, number), rng.uniform(1, 10, number))
    x, y, z, e, layer, owner, piece = [], [], [], [], [], [], []
    for one in range(number):
        first = int(rng.integers(1, 48 - num_layers_each))
        layers = np.arange(first, first + num_layers_each)
        depth = LAYER_Z[layers - 1]
        r = depth / np.sinh(abs(eta[one]))
        x.append(r * np.cos(phi[one]) + rng.normal(0, 0.7, num_layers_each))
        y.append(r * np.sin(phi[one]) + rng.normal(0, 0.7, num_layers_each))
        z.append(depth * np.sign(eta[one]))
        part = rng.gamma(2.0, 1.0, num_layers_each)
        e.append(energy[one] * part / part.sum())
        layer.append(layers)
        owner.append(np.full(num_layers_each, one))
        piece.append(one * pieces + np.arange(num_layers_each) * pieces // num_layers_each)
    columns = [np.concatenate(parts) if parts else np.zeros(0) for parts in (x, y, z, e, layer, owner, piece)]
    x_, y_, z_, e_, layer_, owner_, piece_ = columns
    owner_, piece_ = owner_.astype(np.int64), piece_.astype(np.int64)
    size = len(e_)
    timed = rng.random(size) > missing_time
    clusters = LayerClusters(
        x=x_,
        y=y_,
        z=z_,
        energy=e_,
        layer=layer_.astype(np.int64),
        num_hits=rng.integers(1, 30, size),
        time=np.where(timed, rng.normal(12, 0.5, size), -99.0),
        time_error=np.where(timed, rng.uniform(0.02, 0.1, size), -1.0),
        radius=rng.uniform(0.2, 2.0, size),
        scintillator=layer_ > 40,
    )
    rows = np.arange(size)
    both = rows[rng.random(size) < shared]
    other = (owner_[both] + 1) % max(number, 1)
    both, other = both[other != owner_[both]], other[other != owner_[both]]
    share = np.ones(size)
    share[both] = rng.uniform(0.3, 0.9, len(both))
    held = rows[rng.random(size) > 0.03]
    second = piece_[both] ^ 1
    real = np.isin(both, held) & (second < number * pieces) & (second != piece_[both])
    multiplicity = np.ones(size)
    multiplicity[both[real]] = 2
    member = np.concatenate([np.stack([held, piece_[held]]), np.stack([both[real], second[real]])], 1)
    names, new = np.unique(member[1], return_inverse=True)
    member[1] = new
    probabilities = rng.dirichlet(np.ones(8), len(names)) if len(names) else np.zeros((0, 8))
    tracksters = Tracksters(
        num_tracksters=len(names),
        member_index=member,
        member_fraction=1.0 / multiplicity[member[0]],
        id_probabilities=probabilities,
    )
    truth = CaloTruth(
        object_id=np.arange(number) + 100 + 2**53,
        parent=np.where(np.arange(number) < num_particles, 10, 1000) + np.arange(number) // 2,
        pdg=rng.choice([22, 11, 211, 130], number),
        charge=rng.choice([-1.0, 0.0, 1.0], number),
        energy=energy,
        pt=energy / np.cosh(eta),
        eta=eta,
        phi=np.angle(np.exp(1j * phi)),
        is_signal=np.arange(number) < num_particles,
        share_index=np.concatenate([np.stack([rows, owner_]), np.stack([both, other])], 1),
        share_fraction=np.concatenate([share, 1.0 - share[both]]),
    )
    return clusters, tracksters, truth


def toy_trackster_event(seed: int = 0, *, skeleton_features: bool = False, truth: str = "SC", **tables: Any) -> Event:
    """Return the event of :func:`trackster_tables` (which takes the other arguments)."""
    clusters, tracksters, objects = trackster_tables(seed, **tables)
    return trackster_event(
        clusters,
        tracksters,
        objects,
        event_id=seed,
        source="toy",
        provenance={"seed": seed},
        truth_type=truth,  # type: ignore[arg-type]
        skeleton_features=skeleton_features,
    )
