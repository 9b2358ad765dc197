"""Hits of one wire view from the deposits of an event.

A deposit is cut where it passes from one wire to the next. On a wire, pieces nearer than ``group_distance`` in drift
make one hit, and what is longer than ``max_hit_length`` is cut. The drift position of a hit is the mean of its pieces
weighted by energy; its width is twice the spread, ``2 sqrt(var + intrinsic_width^2)``; its energy in MIP is
``E / (2.0 MeV/cm * pitch)``.

Letters: D deposits, M hits, A pairs of a hit and a particle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitloom.data.shower_layout import MIP_MEV_PER_CM
from hitloom.simulate import _wire_kernels as kernels
from hitloom.simulate.lartpc_config import ReadoutConfig
from hitloom.simulate.lartpc_deposits import ArgonDeposits
from hitloom.simulate.lartpc_project import wire_coordinate

NOISE_REACH = 100.0  # cm from the vertex, in drift and across the wires
NOISE_ENERGY = 0.3  # MIP; mean above the threshold


@dataclass(frozen=True, kw_only=True)
class WireHits:
    """Hits of one view, sorted by wire, then drift.

    Attributes
    ----------
    wire : (M,) int64
        Number of the wire: wire coordinate over pitch, rounded down.
    x, w, x_width : (M,) float64
        Drift and wire coordinate in the frame of the detector, and twice the spread in drift, cm.
    energy : (M,) float64
        MIP.
    weight_hit, weight_particle : (A,) int64
    weight_energy : (A,) float64
        MeV that a particle left in a hit; hits of noise have none.
    """

    wire: NDArray[np.int64]
    x: NDArray[np.float64]
    w: NDArray[np.float64]
    x_width: NDArray[np.float64]
    energy: NDArray[np.float64]
    weight_hit: NDArray[np.int64]
    weight_particle: NDArray[np.int64]
    weight_energy: NDArray[np.float64]

    @property
    def num_hits(self) -> int:
        return len(self.wire)


def wire_hits(
    deposits: ArgonDeposits,
    *,
    angle: float,
    pitch: float,
    config: ReadoutConfig,
    vertex: NDArray[np.float64],
    rng: np.random.Generator,
) -> WireHits:
    """Return the hits of the view whose wires lie ``pitch`` apart at ``angle`` from the vertical.

    ``vertex`` (3,) cm is only where hits of noise lie around.
    """
    all_hits = _exact_hits(deposits, angle=angle, pitch=pitch, config=config)
    energy = all_hits.energy
    x = all_hits.x
    if config.energy_smearing:
        energy = energy * np.maximum(1.0 + config.energy_smearing * rng.standard_normal(len(energy)), 0.0)
    if config.position_smearing:
        x = x + config.position_smearing * rng.standard_normal(len(x))
    keep = energy >= config.threshold
    if config.dead_wires:
        wires, place = np.unique(all_hits.wire, return_inverse=True)
        keep &= (rng.random(len(wires)) >= config.dead_wires)[place]
    new_row = np.cumsum(keep) - 1
    seen = keep[all_hits.weight_hit]
    hits = WireHits(
        wire=all_hits.wire[keep],
        x=x[keep],
        w=all_hits.w[keep],
        x_width=all_hits.x_width[keep],
        energy=np.minimum(energy[keep], config.max_energy),
        weight_hit=new_row[all_hits.weight_hit[seen]],
        weight_particle=all_hits.weight_particle[seen],
        weight_energy=all_hits.weight_energy[seen],
    )
    if config.noise_hits:
        return _with_noise(hits, angle=angle, pitch=pitch, config=config, vertex=vertex, rng=rng)
    return hits


def _exact_hits(deposits: ArgonDeposits, *, angle: float, pitch: float, config: ReadoutConfig) -> WireHits:
    """Return all hits before smearing, threshold and clip; they hold the energy of all deposits."""
    wire, x, extent, energy, owner = kernels.cut_at_wires(
        np.ascontiguousarray(deposits.start[:, 0]),
        wire_coordinate(deposits.start, angle),
        np.ascontiguousarray(deposits.end[:, 0]),
        wire_coordinate(deposits.end, angle),
        deposits.energy,
        deposits.particle,
        pitch,
        config.group_distance / 2,
    )
    order = np.lexsort((x, wire))
    wire, x, extent, energy, owner = wire[order], x[order], extent[order], energy[order], owner[order]
    starts = kernels.hit_starts(wire, x, config.group_distance, config.max_hit_length)
    total, mean, variance, pair_hit, pair_owner, pair_energy = kernels.sum_hits(x, extent, energy, owner, starts)
    return WireHits(
        wire=wire[starts],
        x=mean,
        w=(wire[starts] + 0.5) * pitch,
        x_width=2.0 * np.sqrt(variance + config.intrinsic_width**2),
        energy=total / (MIP_MEV_PER_CM * pitch),
        weight_hit=pair_hit,
        weight_particle=pair_owner,
        weight_energy=pair_energy,
    )


def _with_noise(
    hits: WireHits,
    *,
    angle: float,
    pitch: float,
    config: ReadoutConfig,
    vertex: NDArray[np.float64],
    rng: np.random.Generator,
) -> WireHits:
    """Return the hits and those of noise among them, in order again."""
    num = int(rng.poisson(config.noise_hits))
    x, w = rng.uniform(-NOISE_REACH, NOISE_REACH, (2, num))
    wire = np.floor((w + wire_coordinate(vertex, angle)) / pitch).astype(np.int64)
    energy = np.minimum(config.threshold + NOISE_ENERGY * rng.standard_exponential(num), config.max_energy)
    all_wires, all_x = np.append(hits.wire, wire), np.append(hits.x, x + vertex[0])
    order = np.lexsort((all_x, all_wires))
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    return WireHits(
        wire=all_wires[order],
        x=all_x[order],
        w=(all_wires[order] + 0.5) * pitch,
        x_width=np.append(hits.x_width, np.full(num, 2.0 * max(config.intrinsic_width, 0.05)))[order],
        energy=np.append(hits.energy, energy)[order],
        weight_hit=row[hits.weight_hit],
        weight_particle=hits.weight_particle,
        weight_energy=hits.weight_energy,
    )
