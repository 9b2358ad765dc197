"""Module maps as text: one triplet of modules a line, 24 columns between blanks, no header (acorn's format).

Columns: three modules, occurrence; of the inner and then of the outer doublet the greatest and least z0, dphi,
phislope, deta; the greatest and least diff_dzdr, diff_dydx. Mean and rms have no column.

Shape letters: R rows.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from hitloom.data.files import atomic_file, reason
from hitloom.data.module_map import HIGH, LOW, ModuleMap
from hitloom.errors import DataError

_ROW = np.dtype([("modules", np.int64, 3), ("occurrence", np.int64), ("ranges", np.float64, (10, 2))])
_CHUNK = 100_000


def read_module_map(path: str | Path) -> ModuleMap:
    """Read a map of triplets.

    Raises
    ------
    DataError
        When the file cannot be read, a line is not as it should be, or a triplet comes twice.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is told below
            table = np.loadtxt(path, dtype=_ROW, ndmin=1)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no module map of 24 columns: {reason(error)}") from None
    if not table.size:
        raise DataError(f"{path}: no row in it; a module map of 24 columns was wanted")
    if not np.isfinite(table["ranges"]).all():
        line = int(np.argwhere(~np.isfinite(table["ranges"]))[0, 0])
        raise DataError(f"{path}: row {line + 1} holds NaN or infinity")
    statistics = np.full((table.size, 10, 4), np.nan, dtype=np.float32)
    statistics[..., HIGH], statistics[..., LOW] = table["ranges"][..., 0], table["ranges"][..., 1]
    try:
        return ModuleMap.of_keys(
            rows=np.ascontiguousarray(table["modules"]),
            occurrence=np.ascontiguousarray(table["occurrence"]),
            statistics=statistics,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def write_module_map(module_map: ModuleMap, path: str | Path) -> None:
    """Write a map of triplets; read again, it gives the same edges with method ``minmax``.

    Raises
    ------
    DataError
        When the map is one of doublets or of cells, for which the format has no place.
    """
    if module_map.eta_width:
        raise DataError(f"{path}: the text format knows modules only; mend: keep a map of cells as tensors")
    if module_map.order != 3:
        raise DataError(f"{path}: the text format knows triplets only; mend: keep a map of doublets as tensors")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = " ".join(["%d"] * 4 + ["%.9g"] * 20) + "\n"
    modules = module_map.modules[module_map.rows]
    ranges = module_map.statistics[:, :, [HIGH, LOW]].reshape(module_map.num_rows, 20)
    with atomic_file(path) as part, part.open("w", encoding="ascii") as file:
        for start in range(0, module_map.num_rows, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            whole = zip(
                modules[chunk].tolist(), module_map.occurrence[chunk].tolist(), ranges[chunk].tolist(), strict=True
            )
            file.writelines(line % (*keys, count, *values) for keys, count, values in whole)
