"""The Parquet form of results: one row per point, one row group per event, the events listed in the file's metadata.

Columns: event_id, point (the source's point id), label (-1 = unassigned), in_input (False: removed before the network
saw it), and where they exist point_score (logit), embedding and the edges. The edges of an event lie in lists at the
point that each starts from: edge_target (row of the point it leads to), edge_score (logit) and edge_row (place of the
edge among those of the event, so that their order comes back). Shape letters: N points, E edges, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    if result.edge_index is not None:
        fields.append(pa.field("edge_target", pa.list_(pa.int64()), metadata={"meaning": "row of its other end"}))
        fields.append(pa.field("edge_row", pa.list_(pa.int64()), metadata={"meaning": "place among the event's edges"}))
        if result.edge_score is not None:
            fields.append(pa.field("edge_score", pa.list_(pa.float32()), metadata={"meaning": "logit of the edge"}))
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
    arrays += _edge_lists(result)
    return pa.Table.from_arrays(arrays, schema=schema_of(result))


def _edge_lists(result: Result) -> list[pa.Array]:
    """Return the edge columns: one list a point, of the edges that start there; none where there are no edges.

    Raises
    ------
    DataError
        When an edge has an end that is no row of a point, or the scores are not one an edge.
    """
    if result.edge_index is None:
        return []
    edges, num_points = result.edge_index.cpu().numpy(), result.point_id.shape[0]
    num_scores = edges.shape[1] if result.edge_score is None else result.edge_score.numel()
    if (edges.size and not 0 <= edges.min() <= edges.max() < num_points) or num_scores != edges.shape[1]:
        raise DataError(
            f"event {result.event_id}: edges between rows 0 to {num_points - 1} with one score each were wanted; "
            f"{edges.shape[1]} edges with {num_scores} scores came"
        )
    order = np.argsort(edges[0], kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(edges[0], minlength=num_points)))
    columns = [edges[1][order], order]
    if result.edge_score is not None:
        columns.append(result.edge_score.detach().cpu().float().reshape(-1).numpy()[order])
    return [pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(column)) for column in columns]


def _edges_of(table: pa.Table) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the edges (2, E) and their logits (E,) in the order that they were written in; None where not stored."""
    if "edge_target" not in table.column_names:
        return None, None
    lengths = pc.list_value_length(table["edge_target"]).to_numpy()

    def flat(name: str) -> Any:
        return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)

    row = flat("edge_row")
    index = np.empty((2, row.size), dtype=np.int64)
    index[:, row] = np.stack([np.repeat(np.arange(len(lengths)), lengths), flat("edge_target")])
    if "edge_score" not in table.column_names:
        return torch.from_numpy(index), None
    score = np.empty(row.size, dtype=np.float32)
    score[row] = flat("edge_score")
    return torch.from_numpy(index), torch.from_numpy(score)


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
    edge_index, edge_score = _edges_of(table)
    return Result(
        event_id=int(record["event_id"]),
        point_id=column("point"),
        labels=column("label"),
        embedding=embedding,
        point_score=column("point_score").float() if "point_score" in table.column_names else None,
        edge_index=edge_index,
        edge_score=edge_score,
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
