"""Merged tracksters where the event holds no layer clusters (layout A of CMS TICL): from features alone.

Exact: energies, numbers, extent, barycentre (weighted by energy), time (weighted by 1 / error^2). Estimates, because
layer clusters would be needed:

- axes and spread: the covariance within each trackster is taken as round about its axis, with the mean of its two
  smaller eigenvalues, and joined with that of the barycentres;
- matches: each trackster counts as one unit of its energy, so score(t, s) = sum over its parts of E^2 times the part's
  score with s (1 where s is not its match) / sum of E^2; exactly one object below 0.2 is the match, as always.

Lengths cm in ``x``, mm in ``pos``. Shape letters: N tracksters before, G after, E edges.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hitloom.data.layer_clusters import NO_TIME, NO_TIME_ERROR
from hitloom.data.trackster_features import EDGE_FEATURES, NODE_FEATURES, TIME_ERROR, edge_features
from hitloom.data.trackster_graph import candidate_graph
from hitloom.data.trackster_quantities import NUM_LAYERS
from hitloom.data.trackster_truth import MATCH_SCORE, edge_targets
from hitloom.errors import DataError
from hitloom.event import FIELDS, Event

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SUMMED = ("num_LCs", "num_hits", "raw_energy", "raw_em_energy", "LC_density")
_MEANS = (
    "photon_prob",
    "electron_prob",
    "muon_prob",
    "neutral_pion_prob",
    "charged_hadron_prob",
    "neutral_hadron_prob",
)


def merge_by_features(event: Event, group: Ints) -> Event:
    """Return the event of the groups; ``group`` (N,) counts from 0 without gaps, -1 = left out.

    Raises
    ------
    DataError
        When the event lacks one of the features of tracksters.
    """
    names = event.column_names()
    missing = [name for name in NODE_FEATURES if name not in names]
    if missing:
        raise DataError(f"{event.describe()}: feature '{missing[0]}' is needed to merge and not in the data")
    held = group >= 0
    column = {name: event.x[:, names.index(name)].double().numpy()[held] for name in names}
    merged = _columns(column, group[held], int(group.max(initial=-1)) + 1)
    nodes = np.stack([merged[name] for name in names if name in merged], 1).astype(np.float32)
    kept = [name for name in names if name in merged]
    edges = candidate_graph(merged["barycenter_eta"], merged["barycenter_phi"], merged["barycenter_z"])
    ordered = nodes[:, [kept.index(name) for name in NODE_FEATURES]]
    result = Event(
        pos=torch.from_numpy((ordered[:, :3].astype(np.float64) * 10.0).astype(np.float32)),
        x=torch.from_numpy(nodes),
        feature_names=kept,
        energy=torch.from_numpy(merged["raw_energy"].astype(np.float32)),
        time=torch.from_numpy(merged["time"].astype(np.float32)),
        edge_index=torch.from_numpy(edges),
        edge_attr=torch.from_numpy(edge_features(ordered, edges).astype(np.float32)),
        edge_feature_names=list(EDGE_FEATURES),
        event_id=int(event.event_id) if "event_id" in event else 0,
        source=event.source if "source" in event else "event",
    )
    for name, value in event.to_dict().items():
        field = FIELDS.get(name)
        if field is not None and field.shape[0] == "K":
            result[name] = value
    if "object_index" in event:
        for name, match in _matches(event, group, len(nodes)).items():
            result[name] = match
        result.edge_y = edge_targets(result)
    return result


def _columns(column: dict[str, Floats], group: Ints, number: int) -> dict[str, Floats]:
    """Return the features of the groups (G,) by name."""

    def total(values: Floats) -> Floats:
        return np.bincount(group, values, minlength=number).astype(np.float64)

    energy = column["raw_energy"]
    weight = np.where(total(energy)[group] > 0, energy, 1.0)  # without energy all weigh the same
    share = weight / total(weight)[group]
    result = {name: total(column[name]) for name in _SUMMED} | {name: total(share * column[name]) for name in _MEANS}
    centre = np.stack([column[f"barycenter_{k}"] for k in "xyz"], 1)
    middle = np.stack([total(share * centre[:, k]) for k in range(3)], 1)
    radius = np.hypot(middle[:, 0], middle[:, 1])
    result |= {f"barycenter_{k}": middle[:, place] for place, k in enumerate("xyz")}
    result["barycenter_eta"] = np.arcsinh(middle[:, 2] / np.maximum(radius, 1e-9))
    result["barycenter_phi"] = np.arctan2(middle[:, 1], middle[:, 0])
    result |= _spread(column, centre - middle[group], share, group, middle)
    low, high = np.full(number, np.inf), np.full(number, -np.inf)
    np.minimum.at(low, group, column["z_min"])
    np.maximum.at(high, group, column["z_max"])
    result |= {"z_min": low, "z_max": high}
    result["trackster_density"] = np.full(number, number / (2 * (3 - 1.5) * (2 * NUM_LAYERS)))
    error = column.get(TIME_ERROR, np.where(column["time"] > NO_TIME, 1.0, NO_TIME_ERROR))
    known = (error > 0) & (column["time"] > NO_TIME)
    inverse = np.where(known, 1.0 / np.where(known, error, 1.0) ** 2, 0.0)
    whole = total(inverse)
    safe = np.where(whole > 0, whole, 1.0)
    result["time"] = np.where(whole > 0, total(inverse * column["time"]) / safe, NO_TIME)
    if TIME_ERROR in column:
        result[TIME_ERROR] = np.where(whole > 0, 1 / np.sqrt(safe), NO_TIME_ERROR)
    return result


def _spread(column: dict[str, Floats], offset: Floats, share: Floats, group: Ints, middle: Floats) -> dict[str, Floats]:
    """Return eigenvalues, their roots and the first axis of the groups; a lone trackster keeps its own."""
    number = len(middle)
    axis = np.stack([column[f"eVector0_{k}"] for k in "xyz"], 1)
    across = 0.5 * (column["EV2"] + column["EV3"])
    within = (column["EV1"] - across)[:, None, None] * axis[:, :, None] * axis[:, None, :]
    within = within + across[:, None, None] * np.eye(3) + offset[:, :, None] * offset[:, None, :]
    covariance = np.zeros((number, 3, 3))
    np.add.at(covariance, group, share[:, None, None] * within)
    values, vectors = np.linalg.eigh(covariance)
    values, first = np.maximum(values[:, ::-1], 0.0), vectors[:, :, 2]
    first = first * np.where(first[:, 2] * middle[:, 2] < 0, -1.0, 1.0)[:, None]
    result = {f"EV{k + 1}": values[:, k] for k in range(3)}
    result |= {f"sigmaPCA{k + 1}": np.sqrt(values[:, k]) for k in range(3)}
    result |= {f"eVector0_{k}": first[:, place] for place, k in enumerate("xyz")}
    alone = np.bincount(group, minlength=number)[group] == 1
    for name, values in result.items():
        values[group[alone]] = column[name][alone]
    return result


def _matches(event: Event, group: Ints, number: int) -> dict[str, Tensor]:
    """Return match, score and shared energy of the groups (G,), estimated from those of their parts."""
    matched = event.object_index.numpy()
    energy = event.energy.double().numpy()
    rows = np.flatnonzero((group >= 0) & (matched >= 0))
    num_objects = max(event.num_objects, 1)
    pairs, place = np.unique(group[rows] * num_objects + matched[rows], return_inverse=True)
    place = place.reshape(-1)
    held = group >= 0
    square = np.bincount(group[held], energy[held] ** 2, minlength=number)
    owner, thing = pairs // num_objects, pairs % num_objects
    like = np.bincount(
        place, (1.0 - event.match_score.double().numpy()[rows]) * energy[rows] ** 2, minlength=len(pairs)
    )
    shared = np.bincount(place, event.match_energy.double().numpy()[rows], minlength=len(pairs))
    score = 1.0 - np.divide(like, square[owner], out=np.zeros(len(pairs)), where=square[owner] > 0)
    good = score < MATCH_SCORE
    unique = good & (np.bincount(owner[good], minlength=number)[owner] == 1)
    index, scores, energies = np.full(number, -1, np.int64), np.full(number, -1.0), np.full(number, -1.0)
    index[owner[unique]], scores[owner[unique]], energies[owner[unique]] = thing[unique], score[unique], shared[unique]
    whole = np.bincount(group[held], energy[held], minlength=number)[owner]
    fraction = np.divide(shared, whole, out=np.zeros(len(pairs)), where=whole > 0)
    return {
        "object_index": torch.from_numpy(index),
        "match_score": torch.from_numpy(np.where(index >= 0, np.maximum(scores, 0.0), -1.0)).float(),
        "match_energy": torch.from_numpy(energies).float(),
        "share_index": torch.from_numpy(np.stack([owner, thing])),
        "share_fraction": torch.from_numpy(fraction).float(),
    }
