"""TrackML module ids of the ACTS generic detector, by position.

Both number the same modules, but differently in the endcaps. The match is one to one within each (volume, layer):
nearest centre, then the same axes and size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hitloom.errors import DataError

if TYPE_CHECKING:
    from hitloom.simulate.modules import ModuleTable

_CENTRE = ("cx", "cy", "cz")
_ROTATION = tuple(f"rot_{row}{column}" for row in "xyz" for column in "uvw")
_SIZE = ("module_minhu", "module_maxhu", "module_hv")
_CELLS = ("pitch_u", "pitch_v", "module_t")
_TOLERANCE_MM = 0.01


def read_detectors(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a ``detectors.csv`` (plain or gz) that the match needs.

    Raises
    ------
    DataError
        When the file cannot be read or a column is missing.
    """
    from pyarrow import ArrowInvalid, csv

    try:
        table = csv.read_csv(str(path))
    except (OSError, ArrowInvalid) as error:
        raise DataError(f"{path}: cannot read the detector table: {str(error).splitlines()[0]}") from None
    wanted = ("volume_id", "layer_id", "module_id", *_CENTRE, *_ROTATION, *_SIZE, *_CELLS)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: columns {', '.join(missing)} are missing; wanted a TrackML detectors.csv")
    return {name: table[name].to_numpy() for name in wanted}


def trackml_module_ids(*, table: ModuleTable, path: Path) -> np.ndarray:
    """Return (S,) the TrackML module id of each ACTS module.

    Raises
    ------
    DataError
        When a layer has another number of modules, or a module's partner is displaced, turned or of another size.
    """
    from scipy.spatial import cKDTree

    columns = read_detectors(path)
    ids = np.zeros(len(table), dtype=np.int64)
    theirs = np.stack([columns[name] for name in _CENTRE], axis=1)
    ours = {
        "rotation": table.rotation.reshape(-1, 9),
        "size": np.stack([table.half_u_low, table.half_u_high, table.half_v], axis=1),
        "cells": np.stack([table.readout(name) for name in ("pitch_u", "pitch_v", "thickness")], axis=1),
    }
    others = {
        "rotation": np.stack([columns[name] for name in _ROTATION], axis=1),
        "size": np.stack([columns[name] for name in _SIZE], axis=1),
        "cells": np.stack([columns[name] for name in _CELLS], axis=1),
    }
    for volume, layer in np.unique(np.stack([table.volume, table.layer], axis=1), axis=0):
        mine = np.flatnonzero((table.volume == volume) & (table.layer == layer))
        other = np.flatnonzero((columns["volume_id"] == volume) & (columns["layer_id"] == layer))
        where = f"{path}: volume {volume}, layer {layer}"
        if len(mine) != len(other):
            raise DataError(f"{where}: {len(other)} modules, but the ACTS generic detector has {len(mine)}")
        distance, nearest = cKDTree(theirs[other]).query(table.centre[mine])
        partner = other[nearest]
        if distance.max() > _TOLERANCE_MM or len(np.unique(partner)) != len(mine):
            raise DataError(f"{where}: module centres differ from the ACTS generic detector by {distance.max():.3g} mm")
        for name, values in ours.items():
            difference = np.abs(values[mine] - others[name][partner]).max()
            if difference > _TOLERANCE_MM:
                raise DataError(f"{where}: module {name} differs from the ACTS generic detector by {difference:.3g}")
        ids[mine] = columns["module_id"][partner]
    return ids
