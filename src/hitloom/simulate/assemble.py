"""Hits, cells, noise and particles put together into one :class:`~hitloom.event.Event`.

Legend: N hits, M cells, K particles of the truth table.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch

from hitloom.data.features import CELL_FEATURES, POSITION_FEATURES, cell_shape_features, position_features
from hitloom.data.truth_edges import module_key, modulewise_edges, vertex_distance
from hitloom.errors import DataError
from hitloom.event import Event
from hitloom.metrics.weights import hit_weights
from hitloom.simulate.acts_chain import Crossings
from hitloom.simulate.digitise import Cells, leaves_hit, make_cells, measured_local
from hitloom.simulate.modules import ModuleTable
from hitloom.simulate.noise import make_noise, num_noise
from hitloom.simulate.particles import ParticleTable

CELL_COLUMNS = ("ch0", "ch1", "value")
_OUTSIDE_MM = 0.01  # a true crossing may lie this far beyond the edge of its module (rounding)


def listed_particles(table: ParticleTable, num_hits: np.ndarray, *, min_pt: float, max_eta: float) -> np.ndarray:
    """Return the rows of the truth table, by id: charged particles that are primary, inside the cuts or with hits."""
    inside = (table.pt >= min_pt) & (np.abs(table.eta) <= max_eta)
    keep = np.flatnonzero((table.charge != 0) & ((table.generation == 0) | inside | (num_hits > 0)))
    return keep[np.argsort(table.select(keep).packed_ids())]


def build_event(
    *,
    particles: ParticleTable,
    crossings: Crossings,
    modules: ModuleTable,
    noise_fraction: float,
    min_pt: float,
    max_eta: float,
    seed: tuple[int, int],
) -> Event:
    """Digitise crossings, add noise, order the hits by module (at random within one) and link them to particles.

    Crossings too flat to leave a hit are dropped.

    Raises
    ------
    DataError
        When a crossing lies outside its module, or a particle id overflows.
    """
    rng_cells, rng_noise, rng_order = (np.random.default_rng([*seed, stream]) for stream in (3, 4, 5))
    direction = np.einsum("nij,ni->nj", modules.rotation[crossings.module], crossings.momentum)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    steep = leaves_hit(direction)
    crossings, direction = crossings.select(steep), direction[steep]
    local = modules.to_local(crossings.module, crossings.position)
    _check_inside(modules, crossings.module, local)
    cells = make_cells(modules=modules, rows=crossings.module, local=local, direction=direction, rng=rng_cells)
    num = num_noise(num_hits=len(crossings), fraction=noise_fraction)
    noise_rows, noise_cells = make_noise(
        modules=modules, donor_rows=crossings.module, donors=cells, num=num, rng=rng_noise
    )
    rows = np.concatenate([crossings.module, noise_rows])
    cells = Cells(
        hit=np.concatenate([cells.hit, noise_cells.hit + len(crossings)]),
        ch0=np.concatenate([cells.ch0, noise_cells.ch0]),
        ch1=np.concatenate([cells.ch1, noise_cells.ch1]),
        value=np.concatenate([cells.value, noise_cells.value]),
    )
    measured = modules.to_global(rows, measured_local(modules=modules, rows=rows, cells=cells))
    truth_pos = np.concatenate([crossings.position, measured[len(crossings) :]])
    truth_momentum = np.concatenate([crossings.momentum, np.zeros((num, 3))])
    owner = np.concatenate([crossings.particle, np.full(num, -1)])

    order = np.lexsort((rng_order.random(len(rows)), modules.module[rows], modules.layer[rows], modules.volume[rows]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    cell_order = np.argsort(rank[cells.hit], kind="stable")
    cells = Cells(
        hit=rank[cells.hit][cell_order],
        ch0=cells.ch0[cell_order],
        ch1=cells.ch1[cell_order],
        value=cells.value[cell_order].astype(np.float32).astype(np.float64),
    )
    num_hits = np.bincount(crossings.particle, minlength=len(particles))
    kept = listed_particles(particles, num_hits, min_pt=min_pt, max_eta=max_eta)
    row_of = np.full(len(particles) + 1, -1, dtype=np.int64)
    row_of[kept] = np.arange(len(kept))
    event = Event()
    _add_points(event, modules=modules, rows=rows[order], measured=measured[order], cells=cells)
    event.object_index = _int(row_of[owner[order]])
    event.truth_pos = _float(truth_pos[order])
    event.truth_momentum = _float(truth_momentum[order])
    _add_objects(event, particles.select(kept), num_hits[kept])
    _add_truth(event)
    return event


def _check_inside(modules: ModuleTable, rows: np.ndarray, local: np.ndarray) -> None:
    beyond = np.maximum(modules.outside_by(rows, local), np.abs(local[:, 2]))
    if len(beyond) and beyond.max() > _OUTSIDE_MM:
        worst = int(rows[beyond.argmax()])
        where = f"volume {modules.volume[worst]}, layer {modules.layer[worst]}, module {modules.module[worst]}"
        raise DataError(f"simulated event: a hit lies {beyond.max():.3g} mm outside its module ({where})")


def _add_points(event: Event, *, modules: ModuleTable, rows: np.ndarray, measured: np.ndarray, cells: Cells) -> None:
    event.pos = _float(measured)
    shape = cell_shape_features(
        point_index=cells.hit,
        ch0=cells.ch0,
        ch1=cells.ch1,
        value=cells.value,
        pitch_u=modules.readout("pitch_u")[rows],
        pitch_v=modules.readout("pitch_v")[rows],
        thickness=modules.readout("thickness")[rows],
        rotation=modules.rotation[rows],
    )
    event.x = _float(np.concatenate([position_features(event.pos.numpy()), shape], axis=1))
    event.feature_names = [*POSITION_FEATURES, *CELL_FEATURES]
    event.point_id = torch.arange(1, len(rows) + 1)
    event.volume = _int(modules.volume[rows])
    event.layer = _int(modules.layer[rows])
    event.module = _int(modules.module[rows])
    event.part_x = _float(np.stack([cells.ch0, cells.ch1, cells.value], axis=1))
    event.part_feature_names = list(CELL_COLUMNS)
    event.part_point_index = _int(cells.hit)


def _add_objects(event: Event, table: ParticleTable, num_hits: np.ndarray) -> None:
    momentum = table.momentum
    event.object_id = _int(table.packed_ids())
    event.object_pdg = _int(table.pdg)
    event.object_charge = _float(table.charge)
    event.object_pt = _float(table.pt)
    event.object_eta = _float(table.eta)
    event.object_phi = _float(np.arctan2(table.py, table.px))
    event.object_energy = _float(np.sqrt((momentum**2).sum(1) + table.mass**2))
    event.object_momentum = _float(momentum)
    event.object_vertex = _float(table.position)
    event.object_num_points = _int(num_hits)
    event.object_is_signal = torch.from_numpy(table.vertex == 1)


def _add_truth(event: Event) -> None:
    index = event.object_index.numpy()
    key = module_key(event.volume.numpy(), event.layer.numpy(), event.module.numpy())
    distance = vertex_distance(event.truth_pos.numpy(), index, event.object_vertex.numpy())
    event.truth_edge_index = _int(modulewise_edges(index, key, distance))
    with warnings.catch_warnings():
        # particles with more than 20 hits exist (they turn in the field); the score gives the hits beyond 0
        warnings.filterwarnings("ignore", message="hits from place 20 on")
        event.point_weight = _float(
            hit_weights(
                object_index=index,
                object_id=event.object_id.numpy(),
                object_pt=event.object_pt.numpy(),
                object_vertex_z=event.object_vertex.numpy()[:, 2],
                object_num_points=event.object_num_points.numpy(),
                truth_z=event.truth_pos.numpy()[:, 2],
                phase=1,
            )
        )


def _float(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _int(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))
