"""Many events in memory as one flat array for each field: read at once, taken out one by one or as whole batches.

Shape letters: B events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch

from hitloom.data.collation import join_fields
from hitloom.data.store_schema import NAMES, TEXT, header_names
from hitloom.event import FIELDS, Event


@dataclass(frozen=True, kw_only=True)
class EventColumns:
    """Fields of B events, one event after the other, as the table of a store has them.

    Attributes
    ----------
    event_id : (B,) int64
    texts : dict
        ``source`` and ``provenance`` of each event, where they are there.
    values : dict
        Field -> (all its numbers,), those of an event row by row.
    bounds : dict
        Field -> (B + 1,) int64, where the numbers of each event begin.
    shapes : dict
        Field -> shape that the numbers of one event are brought into; -1 is the free size.
    names : dict
        ``feature_names`` and the like.
    """

    event_id: NDArray[np.int64]
    texts: dict[str, list[str | None]]
    values: dict[str, NDArray[Any]]
    bounds: dict[str, NDArray[np.int64]]
    shapes: dict[str, tuple[int, ...]]
    num_points: NDArray[np.int64]
    names: dict[str, list[str]]

    @classmethod
    def of_table(cls, table: pa.Table, schema: pa.Schema) -> EventColumns:
        """Return the columns of a table with ``event_id``, ``num_points`` and any of the fields of a store."""
        values, bounds, shapes, names = {}, {}, {}, {}
        for name in table.column_names:
            if name not in FIELDS:
                continue
            flat, ends = zip(*(_flat(chunk) for chunk in table[name].chunks), strict=True)
            values[name] = flat[0].copy() if len(flat) == 1 else np.concatenate(flat)
            counts = np.concatenate([np.diff(end) for end in ends])
            bounds[name] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
            shapes[name] = _shape(name, schema)
            if name in NAMES:
                names[NAMES[name]] = header_names(schema, NAMES[name])
        texts = {name: table[name].to_pylist() for name in TEXT if name in table.column_names}
        return cls(
            event_id=table["event_id"].to_numpy(), texts=texts, values=values, bounds=bounds, shapes=shapes,
            num_points=table["num_points"].to_numpy(), names=names,
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[EventColumns]) -> EventColumns:
        """Return the events of several, which have the same fields, one after the other."""
        first = parts[0]
        counts = {name: np.concatenate([np.diff(part.bounds[name]) for part in parts]) for name in first.bounds}
        return cls(
            event_id=np.concatenate([part.event_id for part in parts]),
            texts={name: [text for part in parts for text in part.texts[name]] for name in first.texts},
            values={name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
            bounds={name: np.concatenate([[0], np.cumsum(count)]) for name, count in counts.items()},
            shapes=first.shapes,
            num_points=np.concatenate([part.num_points for part in parts]),
            names=first.names,
        )

    def __len__(self) -> int:
        return len(self.event_id)

    def event(self, row: int, fields: Sequence[str] | None = None) -> Event:
        """Return the event of a row with all of its fields, or these (``source`` is always there)."""
        found: dict[str, Any] = {"event_id": int(self.event_id[row])}
        for name, texts in self.texts.items():
            if texts[row] is not None and (fields is None or name == "source" or name in fields):
                found[name] = texts[row]
        for name in self.values if fields is None else [name for name in fields if name in self.values]:
            low, high = self.bounds[name][row : row + 2]
            values = torch.from_numpy(self.values[name][low:high].copy())
            shape = self.shapes[name]
            found[name] = values if len(shape) == 1 else values.reshape(self._whole(name, row))
            if name in NAMES:
                found[NAMES[name]] = list(self.names[NAMES[name]])
        return Event.of_values(found)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Return the batch of the events of these rows, as :func:`hitloom.data.collation.collate_events` gives it."""
        chosen = np.asarray(rows, dtype=np.int64)
        fields, counts = {}, {}
        for name, values in self.values.items():
            low, high = self.bounds[name][chosen], self.bounds[name][chosen + 1]
            shape = self.shapes[name]
            if shape[0] == 2:
                middle = (low + high) // 2
                top, bottom = _taken(values, low, middle), _taken(values, middle, high)
                fields[name], counts[name] = torch.from_numpy(np.stack([top, bottom])), middle - low
                continue
            flat = torch.from_numpy(_taken(values, low, high))
            inner = shape[-1] if len(shape) > 1 else 1
            counts[name] = (high - low) // inner if inner else self.num_points[chosen]
            fields[name] = flat if len(shape) == 1 else flat.reshape(int(counts[name].sum()), inner)
        lists: dict[str, list[Any]] = {"event_id": self.event_id[chosen].tolist()}
        lists |= {name: [texts[row] for row in chosen] for name, texts in self.texts.items()}
        lists |= {name: [list(names) for _ in chosen] for name, names in self.names.items()}
        return join_fields(fields, counts, lists)

    @property
    def num_bytes(self) -> int:
        """Bytes of the fields."""
        return sum(values.nbytes for values in self.values.values())

    def _whole(self, name: str, row: int) -> tuple[int, ...]:
        shape = self.shapes[name]
        return (int(self.num_points[row]), 0) if shape[-1] == 0 else shape


def _flat(column: pa.ListArray) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the numbers of a list column and (B + 1,) where each list begins."""
    return column.flatten().to_numpy(zero_copy_only=False), column.offsets.to_numpy().astype(np.int64)


def _shape(name: str, schema: pa.Schema) -> tuple[int, ...]:
    field = FIELDS[name]
    if len(field.shape) == 1:
        return (-1,)
    return (2, -1) if field.shape[0] == 2 else (-1, int(schema.field(name).metadata[b"inner"]))


def _taken(values: NDArray[Any], low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[Any]:
    return np.concatenate([values[start:end] for start, end in zip(low.tolist(), high.tolist(), strict=True)])
