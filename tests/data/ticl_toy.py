"""Toy TICL files, and files that were changed afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
import uproot

from hitloom.data.jagged import Jagged
from hitloom.data.root_records import Column
from hitloom.data.root_trees import RootTreeWriter
from hitloom.data.ticl_write import write_ticl
from hitloom.event import Event
from trackster_toy import toy_trackster_event

NUMBERS = {"float": "float", "int32_t": "int", "uint32_t": "unsigned int", "int64_t": "Long64_t"}
Table = dict[str, tuple[Column, Jagged]]


def toy_events(number: int = 3, first: int = 0, **tables) -> list[Event]:
    return [toy_trackster_event(first + seed, num_pileup=2, **tables) for seed in range(number)]


def toy_file(path: Path, number: int = 3, first: int = 0, **options) -> list[Event]:
    """Write toy events into a file and return them."""
    events = toy_events(number, first)
    write_ticl(events, path, **options)
    return events


def rewritten(source: Path, target: Path, change: Callable[[dict[str, Table]], None]) -> Path:
    """Write the trees of a file anew after ``change`` of their columns; names of trees come with their folder."""
    trees = {name: dict(table) for name, table in _read(source).items()}
    change(trees)
    columns = {name: {branch: pair[0] for branch, pair in table.items()} for name, table in trees.items()}
    with RootTreeWriter(target, columns) as writer:
        for name, table in trees.items():
            writer.extend(name, {branch: pair[1] for branch, pair in table.items()})
    return target


@lru_cache(maxsize=4)
def _read(source: Path) -> dict[str, Table]:
    trees: dict[str, Table] = {}
    with uproot.open(source) as file:
        for name, kind in file.classnames(cycle=False).items():
            if kind == "TTree":
                types = file[name].typenames()
                arrays = file[name].arrays()
                trees[name] = {
                    branch: (column_of(types[branch]), Jagged.of_awkward(arrays[branch])) for branch in types
                }
    return trees


def column_of(typename: str) -> Column:
    depth = typename.count("std::vector")
    return Column(NUMBERS[typename.replace("std::vector<", "").rstrip(">")], depth)


def set_item(table: Table, branch: str, item: int, value: float) -> None:
    """Change one item of a branch."""
    values = table[branch][1].values.copy()
    values[item] = value
    table[branch] = table[branch][0], Jagged(values, table[branch][1].counts)


def differing(one: Event, other: Event, *, tolerance: float = 0.0) -> list[str]:
    """Return the fields in which two events differ; the order of memberships and shares does not matter."""
    wrong = sorted(set(one.keys()) ^ set(other.keys()))
    one, other = ordered(one), ordered(other)
    for name in set(one.keys()) & set(other.keys()) - {"source", "provenance"}:
        left, right = one[name], other[name]
        if not isinstance(left, torch.Tensor):
            same = left == right
        elif left.shape != right.shape:
            same = False
        elif left.dtype.is_floating_point:
            same = bool(((left - right).abs() <= tolerance * left.abs()).all())
        else:
            same = torch.equal(left, right)
        wrong += [] if same else [name]
    return sorted(wrong)


def ordered(event: Event) -> Event:
    """Return the event with memberships sorted by trackster, shares by object; then by layer cluster."""
    event = event.clone()
    for index, fraction in (("member_index", "member_fraction"), ("part_share_index", "part_share_fraction")):
        if index in event:
            size = int(event[index][0].max()) + 1 if event[index].numel() else 1
            order = torch.argsort(event[index][1] * size + event[index][0])
            event[index], event[fraction] = event[index][:, order], event[fraction][order]
    return event
