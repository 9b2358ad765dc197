"""Tables of the report of shower growing as plain rows: text ready to print, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.numbers import UNDEFINED, count, percent, points, seconds
from hitloom.report.report_tables import Row, names_of
from hitloom.report.showers.added import ROWS
from hitloom.report.showers.headline import RATES, SHORT

MERGING = ("kept_whole", "split", "swallowed", "pieces", "mixed")
MATCHED = ("completeness", "purity", "energy_completeness", "majority", "kept_whole")
CURVES = ("ari", "purity", "completeness")


def members(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return this result and every method beside it by name."""
    return dict(zip(names_of(metrics), (metrics, *metrics["baselines"].values()), strict=True))


def drawn_members(metrics: Mapping[str, Any], number: int) -> dict[str, Mapping[str, Any]]:
    """Return this result and at most ``number`` - 1 others: those given by name, then the most telling rows."""
    first, *others = members(metrics).items()
    order = {name: place for place, name in enumerate(("none", "rules", "target", "perfect"))}
    others.sort(key=lambda item: order.get(item[0], -1 if item[0] not in ROWS else len(order)))
    return dict([first, *others[: number - 1]])


def number_of(entry: Mapping[str, Any] | None) -> str:
    """Return the value of an entry with three digits."""
    return UNDEFINED if entry is None or entry["value"] is None else f"{entry['value']:.3f}"


def cell_of(entry: Mapping[str, Any] | None, *, counts: str = "") -> Row:
    """Return value, interval and counts as text."""
    row = {"value": number_of(entry), "interval": "", "counts": counts, "kind": ""}
    if entry is not None and entry["value"] is not None and entry["interval"]:
        row["interval"] = "{:.3f} to {:.3f}".format(*entry["interval"])
        row["kind"] = entry.get("interval_kind") or ""
    return row


def side_by_side(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``columns`` (heading, definition) and ``rows``: name, cells, time, differences to the first."""
    columns = [(SHORT[name], metrics["choices"]["rates"][name]) for name in RATES]
    columns += [
        ("shower hits: ARI", "the same index of hits of electrons, positrons and photons alone"),
        ("groups per view", "mean number of groups of a view"),
    ]
    rows: list[Row] = []
    for name, item in members(metrics).items():
        entries = item["partitions"]["all"]["all"]
        compared, timing = metrics["comparisons"].get(name), item.get("timing")
        groups = item["groups_per_view"]["value"]
        differences = []
        if compared:
            differences = [points(compared["rates"]["all"].get(rate)) for rate in RATES]
            differences += [points(compared["rates"]["shower"]["ari"]), ""]
        rows.append(
            {
                "name": name,
                "cells": [
                    *(cell_of(entries[rate]) for rate in RATES),
                    cell_of(item["partitions"]["shower"]["all"]["ari"]),
                    {"value": UNDEFINED if groups is None else f"{groups:.1f}", "interval": "", "counts": ""},
                ],
                "time": UNDEFINED if not timing else seconds(timing["stages"]["total"]["median"]),
                "differences": differences,
            }
        )
    return {"columns": columns, "rows": rows}


def row_meanings(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the rows that were added mean."""
    return [(name, ROWS[name]) for name in metrics["baselines"] if name in ROWS]


def rate_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one table for each group of hits and plane: every rate of every method; all but the first are folded."""
    methods = members(metrics)
    tables = []
    for hits, meaning in metrics["choices"]["groups_of_hits"].items():
        for view, entries in metrics["partitions"][hits].items():
            rows = [
                {
                    "key": rate,
                    "definition": entry["definition"],
                    "cells": [_counted(item["partitions"][hits].get(view, {}).get(rate)) for item in methods.values()],
                    "differences": [],
                }
                for rate, entry in entries.items()
            ]
            first = hits == "all" and view == "all"
            plane = "all views" if view == "all" else f"view {view}"
            tables.append(
                {
                    "title": "Rates over all views" if first else f"{hits} hits, {plane}",
                    "text": f"{meaning[:1].upper()}{meaning[1:]}; {plane}. Means over views.",
                    "names": list(methods), "compared": [], "rows": rows, "folded": not first,
                }
            )  # fmt: skip
    return tables


def _counted(entry: Mapping[str, Any] | None) -> Row:
    return cell_of(entry, counts="" if entry is None else f"{count(entry['denominator'])} views")


def merging_table(metrics: Mapping[str, Any], view: str = "all") -> dict[str, Any]:
    """Return split, swallowed and mixed of every method, counts beneath shares."""
    rows = []
    for name, item in members(metrics).items():
        block = item["merging"].get(view)
        if block is None:
            continue
        cells = [
            cell_of(block["shares"][key], counts=f"{count(block[key])} of {count(block['shares'][key]['denominator'])}")
            for key in MERGING
        ]
        rows.append({"name": name, "cells": cells})
    definitions = metrics["choices"]["merging"]
    return {"columns": [(SHORT[key], definitions[key]) for key in MERGING], "rows": rows,
            "counted": [(key, definitions[key]) for key in ("particles", "groups")]}  # fmt: skip


def kind_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return how particles of each kind are matched, for this result."""
    return [
        {
            "name": kind,
            "number": count(block["num_particles"]),
            "cells": [cell_of(block[key]) for key in MATCHED],
            "others": [
                f"{name} {number_of(item['particles']['by_kind'].get(kind, {}).get('completeness'))}"
                for name, item in list(members(metrics).items())[1:]
            ],
        }
        for kind, block in metrics["particles"]["by_kind"].items()
    ]


def bin_table(metrics: Mapping[str, Any], which: str) -> dict[str, Any]:
    """Return ARI, purity and completeness of every method in the bins of ``which`` that are not empty."""
    methods = drawn_members(metrics, 6)
    rows = []
    for place, item in enumerate(metrics[which]):
        if not item["num_events"]:
            continue
        cells = [cell_of(method[which][place]["rates"].get(rate)) for rate in CURVES for method in methods.values()]
        rows.append({"name": item["label"], "number": count(item["num_events"]), "cells": cells})
    return {"groups": [(SHORT[rate], len(methods)) for rate in CURVES], "names": list(methods), "rows": rows}


def similarity_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rates of pairs of this result, planes side by side; one table a tier."""
    if metrics["similarity"] is None:
        return []
    tables = []
    for tier, views in metrics["similarity"].items():
        names = list(next(iter(views.values()))["rates"])
        rows = [
            {
                "key": SHORT[name], "definition": metrics["choices"]["similarity"][name],
                "cells": [cell_of(item["rates"][name], counts=f"{count(item['num_pairs'])} pairs")
                          for item in views.values()],
                "differences": [],
            }
            for name in names
        ]  # fmt: skip
        tables.append(
            {
                "title": "Similarity of pairs" if tier == "all" else f"Similarity of pairs, tier {tier}",
                "text": f"Pairs of different clusters, pooled. {metrics['choices']['threshold']}, strictly, as in "
                f"grouping; {metrics['choices']['denominator']}.",
                "names": ["all views" if view == "all" else f"view {view}" for view in views],
                "compared": [], "rows": rows, "folded": tier != "all",
            }
        )  # fmt: skip
    return tables


def sample_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the views are like: name and value."""
    found = metrics["sample"]

    def spread(values: Mapping[str, float]) -> str:
        return f"mean {values['mean']:.1f}, median {values['median']:g}, most {values['max']}"

    views = ", ".join(f"{number} {name}" for name, number in found["views"].items())
    return [
        ("slices", count(found["num_slices"])),
        ("views", f"{count(found['num_views'])}: {views}"),
        ("clusters of a view", spread(found["num_clusters"])),
        ("hits of a view", spread(found["num_hits"])),
        ("hits without truth", percent(found["share_without_truth"], 1000)),
        ("true particles, of all views", f"{count(found['num_particles'])}, {count(found['num_showers'])} of them make "
         "showers"),
    ]  # fmt: skip
