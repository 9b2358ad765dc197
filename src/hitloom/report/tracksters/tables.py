"""Tables of the report of tracksters as plain rows: text ready to print, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hitloom.metrics.edge_energy import CONFUSION_NAMES, PAIR_CLASSES
from hitloom.report.numbers import UNDEFINED, count, percent, percent_range, points, seconds
from hitloom.report.report_tables import Row, cell, names_of
from hitloom.report.tracksters.compare import EDGE_F1, JOINED_F1
from hitloom.report.tracksters.headline import RATES, edge_f1, groups_of, lost_energy

BEFORE = "before linking"
CLASSES = {"signal": "signal", "pileup": "pile-up", "all": "all"}
OVERLAP_CLASSES = CLASSES | {"unmatched": "unmatched"}
EDGE_RATES = ("merged_fraction", "true_fraction", "accuracy", "precision", "recall", "specificity", "f1")
RATIOS = ("lr_plus", "lr_minus")
SPECIES_RATES = ("efficiency", "purity", "split", "merge")
PAIRS = {
    "all": "all edges",
    "signal": "signal with signal",
    "pileup": "pile-up with pile-up",
    "cross": "signal with pile-up",
    "unmatched": "an end unmatched",
}


def members(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return this result and every baseline by name."""
    return dict(zip(names_of(metrics), (metrics, *metrics["baselines"].values()), strict=True))


def with_before(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return this result, the state before linking, and every baseline but the one that is that state."""
    first, *others = members(metrics).items()
    before = {BEFORE: metrics["before"] | {"truth": metrics["truth"], "timing": None, "baselines": {}}}
    before[BEFORE]["decided_edges"] = metrics["before"]["joined_edges"]  # nothing is decided, nothing is joined
    return {first[0]: first[1], **before, **{name: item for name, item in others if name != "merge_none"}}


def has_pileup(metrics: Mapping[str, Any]) -> bool:
    """Return whether any object of the sample is pile-up."""
    return bool(metrics["overlap"][metrics["truth"]]["components"]["pileup"]["num_groups"])


def classes_of(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes that the sample has; without pile-up signal and all differ only by unmatched tracksters."""
    return CLASSES if has_pileup(metrics) else {"signal": "signal", "all": "all"}


def side_by_side(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``columns`` (heading, definition) and ``rows``: name, cells, time, differences to the first."""
    rates = [rate for rate in RATES if rate in metrics["headline"]["rates"]]
    columns = [(rate, metrics["headline"]["rates"][rate]["definition"]) for rate in rates]
    lost = lost_energy(metrics, "signal")
    place = metrics["choices"]["groups"][lost["groups"]]
    columns += [
        ("dU", f"missing energy of signal / energy of the true groups ({place})"),
        ("dO", "foreign energy in the candidate that holds most of a true group / energy of the true groups"),
        ("dU + dO", lost["definition"]),
        ("edge F1", EDGE_F1),
        ("joined F1", JOINED_F1),
    ]
    rows: list[Row] = []
    for name, item in members(metrics).items():
        compared = metrics["comparisons"].get(name)
        entries = item["rates"].get(metrics["truth"], {}).get("signal", {})
        energy = lost_energy(item, "signal", metrics["truth"])
        cells = [cell(entries.get(rate)) for rate in rates]
        cells += [_plain(energy[key]) for key in ("missing", "foreign", "value")]
        cells += [f1_cell(item), f1_cell(item, "joined_edges")]
        timing = item.get("timing")
        rows.append(
            {
                "name": name,
                "cells": cells,
                "time": UNDEFINED if not timing else seconds(timing["stages"]["total"]["median"]),
                "differences": _differences(metrics, compared, rates) if compared else [],
            }
        )
    return {"columns": columns, "rows": rows}


def _plain(value: float | None) -> Row:
    return {"value": percent(value), "interval": "", "counts": "", "kind": ""}


def f1_cell(metrics: Mapping[str, Any], which: str = "decided_edges") -> Row:
    """Return the F1 of edges with its interval as text."""
    found = edge_f1(metrics, which)
    if found is None:
        return _plain(None)
    return _plain(found["value"]) | {"interval": percent_range(found["interval"]) if found["interval"] else ""}


def _differences(metrics: Mapping[str, Any], compared: Mapping[str, Any], rates: Sequence[str]) -> list[str]:
    truth = metrics["truth"]
    own = compared["rates"].get(truth, {}).get("signal", {})
    texts = [points(own.get(rate)) for rate in rates]
    lost = compared["overlap"][truth][groups_of(metrics)]["signal"]
    edges = compared["edges"]
    return [*texts, "", "", points(lost), points(edges.get("f1")), points(edges.get("joined_f1"))]


def rate_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one table a truth and class: every official rate after and before linking and of every baseline."""
    methods = with_before(metrics)
    compared = [name for name in methods if name in metrics["comparisons"]]
    tables = []
    for truth, meaning in metrics["choices"]["truths"].items():
        for kind, name in classes_of(metrics).items():
            entries = metrics["rates"].get(truth, {}).get(kind)
            if not entries:
                continue
            rows = [
                {
                    "key": rate,
                    "definition": entries[rate]["definition"],
                    "cells": [cell(item["rates"][truth][kind][rate]) for item in methods.values()],
                    "differences": [
                        points(metrics["comparisons"][other]["rates"][truth][kind][rate]) for other in compared
                    ],
                }
                for rate in RATES
            ]
            first = (truth, kind) == (metrics["truth"], "signal")
            title = f"Official rates, {truth}, {name}"
            tables.append(
                {
                    "title": title,
                    "text": f"{meaning}; {metrics['choices']['objects']}.",
                    "rows": rows,
                    "folded": not first,
                }
                | {"names": list(methods), "compared": compared}
            )
    tables.sort(key=lambda table: bool(table["folded"]))
    return tables


def species_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per species of object: rates after linking and before, by the stored truth."""
    found, before = (item["species"].get(metrics["truth"], {}) for item in (metrics, metrics["before"]))
    return [
        {
            "name": name.replace("_", " "),
            "cells": [cell(side[name][rate]) for rate in SPECIES_RATES for side in (found, before) if name in side],
        }
        for name in found
        if name in before
    ]


def overlap_rows(metrics: Mapping[str, Any], truth: str) -> list[Row]:
    """Return one row per kind of true group and class: its energy, then dU and dO of each method."""
    methods = with_before(metrics)
    rows: list[Row] = []
    for group, kinds in metrics["overlap"][truth].items():
        for kind, name in OVERLAP_CLASSES.items():
            sums = kinds[kind]
            if not sums["num_groups"] or (kind == "pileup" and not has_pileup(metrics)):
                continue
            rows.append(
                {
                    "group": group,
                    "first": not rows or rows[-1]["group"] != group,
                    "meaning": metrics["choices"]["groups"][group],
                    "kind": name,
                    "number": count(sums["num_groups"]),
                    "energy": f"{sums['energy']:,.0f} GeV",
                    "cells": [_lost(item["overlap"][truth][group][kind]) for item in methods.values()],
                }
            )
    return rows


def _lost(sums: Mapping[str, Any]) -> Row:
    return {
        "value": percent(sums["lost_fraction"]),
        "parts": f"dU {percent(sums['missing_fraction'])}, dO {percent(sums['foreign_fraction'])}",
    }


def edge_rows(found: Mapping[str, Any]) -> list[Row]:
    """Return one row a class of pairs, of a table of :class:`hitloom.metrics.edge_energy.EdgeEnergy`."""
    return [
        _edge_row(PAIRS[name], found["classes"][name])
        for name in ("all", *PAIR_CLASSES)
        if found["classes"][name]["num_edges"]
    ]


def energy_rows(found: Mapping[str, Any]) -> list[Row]:
    """Return one row a bin of energy."""
    return [_edge_row(bin_name(item), item) for item in found["energy_bins"] if item["num_edges"]]


def bin_name(item: Mapping[str, Any]) -> str:
    """Return the ends of a bin of energy in words."""
    low, high = (UNDEFINED if end is None else f"{end:.3g}" for end in (item["low"], item["high"]))
    return f"{low} to {high} GeV"


def _edge_row(name: str, table: Mapping[str, Any]) -> Row:
    weighted, plain = table["weighted"], table["plain"]
    return {
        "name": name,
        "edges": f"{table['num_edges']:,}",
        "rates": [percent(weighted[rate]) for rate in EDGE_RATES],
        "ratios": [UNDEFINED if weighted[rate] is None else f"{weighted[rate]:.3g}" for rate in RATIOS],
        "plain_f1": percent(plain["f1"]),
        "counts": [f"{plain[key]:,.0f}" for key in CONFUSION_NAMES],
        "sums": [f"{weighted[key]:,.0f}" for key in CONFUSION_NAMES],
    }


def dataset_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return name, total, mean and maximum of an event."""
    columns = metrics["dataset"]["columns"]
    return [
        (name.replace("_", " "), count(round(item["total"])), f"{item['mean']:,.1f}", count(round(item["max"])))
        for name, item in columns.items()
        if item["total"]
    ]


def graph_rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield truth, class, recall of the candidate graph and the energy that no choice of edges can link."""
    for truth, kinds in metrics["candidate_graph"]["recall"].items():
        for kind, name in OVERLAP_CLASSES.items():
            item = kinds[kind]
            if item["recall"] is not None and item["energy"] and kind != "unmatched":
                yield truth, name, percent(item["recall"], 1000), f"{item['lost_energy']:,.1f} GeV"
