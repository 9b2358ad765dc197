"""The Parquet form of results: one row per point, one row group per event, the events listed in the file's metadata.

Columns: event_id, point (the source's point id), label (-1 = unassigned), in_input (False: removed before the network
saw it), and where they exist point_score (logit) and embedding. Shape letters: N points, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hitloom.data.files import reason
from hitloom.errors import DataError
from hitloom.result import Result

FORMAT = "hitloom-results"
FORMAT_VERSION = 1


def schema_of(result: Result) -> pa.Schema:
    """Return the Arrow schema that holds a result."""
    fields = [
        pa.field("event_id", pa.int64(), nullable=False),
        pa.field("point", pa.int64(), nullable=False, metadata={"meaning": "point id in the source"}),
        pa.field("label", pa.int64(), nullable=False, metadata={"meaning": "candidate, -1 = unassigned"}),
        pa.field("in_input", pa.bool_(), nullable=False, metadata={"meaning": "False: removed before the network"}),
    ]
    if result.point_score is not None:
        fields.append(pa.field("point_score", pa.float32(), metadata={"meaning": "logit of being no noise"}))
    if result.embedding is not None:
        width = int(result.embedding.shape[1])
        fields.append(pa.field("embedding", pa.list_(pa.float32(), width)))
    return pa.schema(fields)


def table_of(result: Result) -> pa.Table:
    """Return the table of one result."""
    num_points = result.point_id.shape[0]
    inside = np.ones(num_points, dtype=bool) if result.in_input is None else result.in_input.cpu().numpy()
    arrays = [
        pa.array(np.full(num_points, result.event_id, dtype=np.int64)),
        pa.array(result.point_id.cpu().numpy()),
        pa.array(result.labels.cpu().numpy()),
        pa.array(inside),
    ]
    if result.point_score is not None:
        score = result.point_score.detach().cpu().float().reshape(-1).numpy()
        arrays.append(pa.array(score))
    if result.embedding is not None:
        flat = result.embedding.detach().cpu().float().contiguous().reshape(-1).numpy()
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), int(result.embedding.shape[1])))
    return pa.Table.from_arrays(arrays, schema=schema_of(result))


def record_of(result: Result) -> dict[str, Any]:
    """Return what is stored of an event beside its points."""
    return {
        "event_id": result.event_id,
        "num_points": int(result.point_id.shape[0]),
        "num_candidates": result.num_candidates,
        "timing": {name: float(seconds) for name, seconds in result.timing.items()},
    }


def result_of(table: pa.Table, record: Mapping[str, Any]) -> Result:
    """Return the result of one event's rows."""

    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(table[name].to_numpy()))

    embedding = None
    if "embedding" in table.column_names:
        kind = table.schema.field("embedding").type
        flat = table["embedding"].combine_chunks()
        flat = flat.chunk(0) if isinstance(flat, pa.ChunkedArray) and flat.num_chunks else flat
        values = np.array(flat.flatten().to_numpy(), dtype=np.float32) if len(table) else np.zeros(0, np.float32)
        embedding = torch.from_numpy(values).reshape(-1, kind.list_size)
    inside = column("in_input").bool()
    return Result(
        event_id=int(record["event_id"]),
        point_id=column("point"),
        labels=column("label"),
        embedding=embedding,
        point_score=column("point_score").float() if "point_score" in table.column_names else None,
        in_input=None if bool(inside.all()) else inside,
        timing=dict(record["timing"]),
    )


def header_of(path: Path) -> tuple[pq.ParquetFile, dict[str, Any], list[dict[str, Any]]]:
    """Return the open file, the meta of the run and the records of the events.

    Raises
    ------
    DataError
        When the file is damaged, or is no results file of this format version.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file: {reason(error)}; mend: run the inference again") from None
    metadata = {key.decode(): value for key, value in (file.metadata.metadata or {}).items()}
    if metadata.get("hitloom.format", b"").decode() != FORMAT:
        raise DataError(f"{path}: not a results file of hitloom")
    if metadata["hitloom.format_version"].decode() != str(FORMAT_VERSION):
        raise DataError(
            f"{path}: results of format version {metadata['hitloom.format_version'].decode()}, but this hitloom reads "
            f"{FORMAT_VERSION}; mend: run the inference again"
        )
    meta, records = json.loads(metadata["hitloom.meta"]), json.loads(metadata["hitloom.events"])
    if sum(record["num_points"] > 0 for record in records) != file.metadata.num_row_groups:
        raise DataError(f"{path}: {len(records)} events listed, {file.metadata.num_row_groups} found; it is damaged")
    return file, meta, records


def write_file(path: Path, *, schema: pa.Schema, meta: Mapping[str, Any], tables: Any) -> None:
    """Write pairs (record, table) into one file; ``tables`` is read once."""
    header = {"hitloom.format": FORMAT, "hitloom.format_version": str(FORMAT_VERSION), "hitloom.meta": json.dumps(meta)}
    records = []
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for record, table in tables:
            records.append(record)
            if len(table):
                writer.write_table(table, row_group_size=len(table))
        writer.add_key_value_metadata(header | {"hitloom.events": json.dumps(records)})
