"""The Parquet form of an event: one row, every field a list column, all of it made from ``hitloom.event.FIELDS``.

Fields of two dimensions are flattened row by row; the inner (or, for ``2,E``, the outer) size, the dtype, the unit and
the meaning stand in the metadata of the column. ``num_points`` and ``num_objects`` are columns of their own, so that
sizes can be read without the points.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import torch

from hitloom.errors import DataError, nearest
from hitloom.event import FIELDS, Event, Field

FORMAT = "hitloom-events"
FORMAT_VERSION = 1
SIZES = ("num_points", "num_objects")
TEXT = ("source", "provenance")
NAMES = {"x": "feature_names", "part_x": "part_feature_names", "edge_attr": "edge_feature_names"}
_ARROW = {torch.float32: pa.float32(), torch.int64: pa.int64(), torch.bool: pa.bool_()}
_KEY = "hitloom."


def _inner(field: Field, event: Event) -> int:
    """Return the size that the flattened column needs beside its length: 1 for vectors."""
    if len(field.shape) == 1:
        return 1
    return 2 if field.shape[0] == 2 else int(event[field.name].shape[1])


def schema_of(event: Event, *, provenance: dict[str, Any]) -> pa.Schema:
    """Return the Arrow schema of a store whose first event this is.

    Raises
    ------
    DataError
        When the event holds a field that is not declared, or has no ``event_id``.
    """
    from hitloom._version import __version__

    keys = set(event.to_dict())
    unknown = sorted(keys - set(FIELDS) - {"event_id", *TEXT, *NAMES.values()})
    if unknown:
        valid = [*FIELDS, "event_id", *TEXT, *NAMES.values()]
        raise DataError(f"{event.describe()}: field '{unknown[0]}' is not declared.{nearest(unknown[0], valid)}")
    columns = [pa.field("event_id", pa.int64(), nullable=False)]
    columns += [pa.field(name, pa.int64(), nullable=False) for name in SIZES]
    columns += [pa.field(name, pa.string()) for name in TEXT if name in keys]
    for name, field in FIELDS.items():
        if name not in keys:
            continue
        inner = _inner(field, event)
        if inner == 0 and name != "x":
            raise DataError(f"{event.describe()}: field '{name}' has no columns; mend: leave the field out")
        metadata = {
            "shape": ",".join(str(part) for part in field.shape),
            "inner": str(inner),
            "dtype": str(field.dtype).removeprefix("torch."),
            "unit": field.unit,
            "meaning": field.meaning,
            "group": field.group,
        }
        columns.append(pa.field(name, pa.list_(_ARROW[field.dtype]), nullable=False, metadata=metadata))
    header = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "hitloom": __version__,
        "provenance": json.dumps(provenance, sort_keys=True),
    }
    header |= {names: json.dumps(list(event[names])) for name, names in NAMES.items() if name in keys}
    return pa.schema(columns, metadata={_KEY + key: value for key, value in header.items()})


def table_of(event: Event, schema: pa.Schema) -> pa.Table:
    """Return the one-row table of a valid event.

    Raises
    ------
    DataError
        When the event has other fields, other features or another inner size than the store.
    """
    where = event.describe()
    wanted = {name for name in schema.names if name not in ("event_id", *SIZES)}
    present = set(event.to_dict()) - {"event_id", *NAMES.values()}
    if present != wanted:
        less, more = sorted(wanted - present), sorted(present - wanted)
        clauses = [f"lacks '{less[0]}'"] if less else []
        clauses += [f"has '{more[0]}' in addition"] if more else []
        raise DataError(f"{where}: {' and '.join(clauses)}; events of one store must have the same fields")
    for name, names in NAMES.items():
        if name in present and list(event[names]) != header_names(schema, names):
            raise DataError(
                f"{where}: {names} is {list(event[names])}, but the store has {header_names(schema, names)}"
            )
    arrays = []
    for column in schema:
        if column.name == "event_id":
            arrays.append(pa.array([int(event.event_id)], pa.int64()))
        elif column.name in SIZES:
            arrays.append(pa.array([getattr(event, column.name)], pa.int64()))
        elif column.name in TEXT:
            arrays.append(pa.array([str(event[column.name])], pa.string()))
        else:
            flat = event[column.name].detach().cpu().contiguous().reshape(-1).numpy()
            offsets = pa.array([0, flat.size], pa.int32())
            arrays.append(pa.ListArray.from_arrays(offsets, pa.array(flat, column.type.value_type), type=column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def header(schema: pa.Schema, key: str, *, where: str) -> str:
    """Return an entry of the store's header.

    Raises
    ------
    DataError
        When the file has no such entry: it is not part of an event store.
    """
    value = (schema.metadata or {}).get((_KEY + key).encode())
    if value is None:
        raise DataError(f"{where}: not a file of a hitloom event store (no '{_KEY}{key}' in its metadata)")
    return str(value.decode())


def header_names(schema: pa.Schema, names: str) -> list[str]:
    """Return ``feature_names`` and the like, empty when the store has none."""
    value = (schema.metadata or {}).get((_KEY + names).encode())
    return [] if value is None else list(json.loads(value))


def check_schema(schema: pa.Schema, *, where: str) -> None:
    """Check that a Parquet file belongs to an event store that this version of hitloom can read.

    Raises
    ------
    DataError
        When it is another kind of file, of another format version, or lacks a column.
    """
    if header(schema, "format", where=where) != FORMAT:
        raise DataError(f"{where}: holds '{header(schema, 'format', where=where)}', not '{FORMAT}'")
    version = header(schema, "format_version", where=where)
    if version != str(FORMAT_VERSION):
        writer = header(schema, "hitloom", where=where)
        raise DataError(
            f"{where}: event store of format version {version} (written by hitloom {writer}), but this hitloom reads "
            f"version {FORMAT_VERSION}; mend: convert or simulate the events again"
        )
    for name in ("event_id", *SIZES, "pos"):
        if name not in schema.names:
            raise DataError(f"{where}: column '{name}' is missing; the file is damaged or was edited")
    for column in schema:
        field = FIELDS.get(column.name)
        if field is not None and column.type != pa.list_(_ARROW[field.dtype]):
            raise DataError(f"{where}: column '{column.name}' is {column.type}, but {field.dtype} lists were wanted")
