"""Showers of the particles that enter the calorimeter: spots of energy on the layers, each owned by one particle.

Letters: P particles, S spots, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hitloom.data.endcap_geometry import EndcapGeometry, get_geometry
from hitloom.simulate import _shower_kernels as kernels
from hitloom.simulate.calorimeter_config import CalorimeterConfig
from hitloom.simulate.calorimeter_particles import Entering

_KINDS = {
    22: kernels.PHOTON, 11: kernels.ELECTRON, 13: kernels.MUON,
    130: kernels.NEUTRAL, 310: kernels.NEUTRAL, 2112: kernels.NEUTRAL, 3122: kernels.NEUTRAL,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Spots:
    """Deposits of energy on layers, all columns (S,).

    ``particle`` row of the particle, ``layer`` from 1, ``x``, ``y`` cm, ``side`` +1 or -1 (sign of z), ``energy`` GeV
    on the scale of the particle's energy, ``time`` ns later than light from the origin.
    """

    particle: np.ndarray
    layer: np.ndarray
    side: np.ndarray
    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    time: np.ndarray

    def __len__(self) -> int:
        return len(self.energy)


@dataclass(frozen=True, kw_only=True)
class LayerTables:
    """The geometry as the compiled showers read it; see :mod:`hitloom.simulate._shower_kernels`."""

    planes: np.ndarray
    radiation: np.ndarray
    interaction: np.ndarray
    mip: np.ndarray


@lru_cache(maxsize=4)
def layer_tables(geometry_name: str) -> LayerTables:
    """Return the tables of a geometry: every layer sees half of the absorber before and half of that behind it."""
    geometry = get_geometry(geometry_name)
    planes = np.concatenate([[geometry.front_z], geometry.z, [geometry.back_z]])
    return LayerTables(
        planes=planes,
        radiation=_cumulated(geometry.radiation_lengths),
        interaction=_cumulated(geometry.interaction_lengths),
        mip=mip_weights(geometry),
    )


def _cumulated(depth: np.ndarray) -> np.ndarray:
    """Depth at front, sensors and back; behind the last sensor as much as half of the last absorber."""
    return np.concatenate([[0.0], np.cumsum(np.append(depth, depth[-1] / 2))])


def mip_weights(geometry: EndcapGeometry) -> np.ndarray:
    """Return (L,) GeV that one crossing particle stands for: the mean of the absorbers before and behind a layer."""
    loss = geometry.mip_loss
    return (loss + np.append(loss[1:], loss[-1])) / 2


def kernel_settings(config: CalorimeterConfig) -> np.ndarray:
    """Return the settings of the showers as the row of numbers that the compiled code reads."""
    shower, geometry = config.shower, get_geometry(config.geometry)
    em = geometry.section == 0
    settings = np.zeros(kernels.NUM_SETTINGS)
    pairs = {
        kernels.HALO: shower.halo_fraction,
        kernels.HALO_SCALE: shower.halo_scale,
        kernels.CRITICAL: shower.critical_energy,
        kernels.SLOPE: shower.moliere_radius / np.log(10.0),
        kernels.FINE: 0.8 * min(shower.stochastic_terms) ** 2 / 2,
        kernels.TERM_0: shower.stochastic_terms[0],
        kernels.TERM_1: shower.stochastic_terms[1],
        kernels.TERM_2: shower.stochastic_terms[2],
        kernels.RADIUS_0: config.response.thickness_radii[0],
        kernels.RADIUS_1: config.response.thickness_radii[1],
        kernels.REFERENCE: mip_weights(geometry)[em].mean(),
        kernels.PION_SHARE: shower.neutral_pion_fraction,
        kernels.NEUTRAL_SHARE: shower.neutral_fraction,
        kernels.COUNT_0: shower.multiplicity[0],
        kernels.COUNT_1: shower.multiplicity[1],
        kernels.PT: shower.transverse_momentum,
        kernels.NUCLEAR_0: shower.nuclear_energy[0],
        kernels.NUCLEAR_1: shower.nuclear_energy[1],
        kernels.LOCAL: shower.nuclear_visible,
        kernels.NEUTRON: shower.neutron_visible,
        kernels.REACH: shower.neutron_reach,
        kernels.DELAY: shower.neutron_delay,
        kernels.FRONT: 0.0 if config.process == "gun" and config.gun.origin == "front" else shower.front_material,
    }
    for row, value in pairs.items():
        settings[row] = value
    return settings


def make_spots(entering: Entering, *, config: CalorimeterConfig, seed: tuple[int, int]) -> Spots:
    """Return the spots of all particles; the shower of a particle depends on ``seed`` and its id alone."""
    tables, settings = layer_tables(config.geometry), kernel_settings(config)
    found: list[np.ndarray] = []
    counts = np.zeros(len(entering), dtype=np.int64)
    for row in range(len(entering)):
        kind = _KINDS.get(abs(int(entering.pdg[row])), kernels.CHARGED)
        at = tuple(float(value) for value in entering.at[row])
        spots = _one_shower(kind, float(entering.energy[row]), at, tables, settings, (*seed, 3, int(entering.ids[row])))
        found.append(spots)
        counts[row] = len(spots)
    table = np.concatenate(found) if found else np.zeros((0, 5))
    particle = np.repeat(np.arange(len(entering)), counts)
    side = entering.side[particle]
    layer = table[:, 0].astype(np.int64) + 1
    x, y = table[:, 1], table[:, 2]
    light = np.sqrt(x**2 + y**2 + tables.planes[layer] ** 2) / kernels.LIGHT
    return Spots(particle=particle, layer=layer, side=side, x=x, y=y, energy=table[:, 3], time=table[:, 4] - light)


def _one_shower(
    kind: int, energy: float, at: tuple[float, ...], tables: LayerTables, settings: np.ndarray, seed: tuple[int, ...]
) -> np.ndarray:
    capacity = 300 + int(2.5 * energy / settings[kernels.FINE])
    while True:
        spots = np.empty((capacity, 5))
        rng = np.random.default_rng(seed)
        num = kernels.shower(
            rng, kind, energy, at, tables.planes, tables.radiation, tables.interaction, tables.mip, settings, spots
        )
        if num >= 0:
            return spots[:num].copy()
        capacity *= 2
