"""Tables of the report of pruning as plain rows: text ready to print, definitions beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hitloom.report.numbers import UNDEFINED, count, percent, percent_range, points, seconds
from hitloom.report.pruning.headline import SHORT, headline_rates
from hitloom.report.report_tables import Row, names_of

PLAIN = ("energy_sum", "log_likelihood", "auc", "average_precision", "calibration_error")
"""Numbers that are no shares: printed as they are."""
PROBABILITY = ("auc", "average_precision", "calibration_error")
SIZE_RATES = ("f1", "exact_match", "energy_sum")


def members(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return this result and every method beside it by name."""
    return dict(zip(names_of(metrics), (metrics, *metrics["baselines"].values()), strict=True))


def drawn_members(metrics: Mapping[str, Any], number: int) -> dict[str, Mapping[str, Any]]:
    """Return this result and the others of best F1, at most ``number`` in all."""
    first, *others = members(metrics).items()
    others.sort(key=lambda item: -(item[1]["rates"]["all"]["f1"]["value"] or 0.0))
    return dict([first, *others[: number - 1]])


def value_text(name: str, entry: Mapping[str, Any] | None, trials: float | None = None) -> str:
    """Return the value of a rate as text: in percent, or three digits for what is no share."""
    if entry is None or entry["value"] is None:
        return UNDEFINED
    return f"{entry['value']:.3f}" if name in PLAIN else percent(entry["value"], trials)


def cell_of(name: str, entry: Mapping[str, Any] | None, trials: float | None = None) -> Row:
    """Return value, interval and counts of a rate as text."""
    row = {"value": value_text(name, entry, trials), "interval": "", "counts": "", "kind": ""}
    if entry is None or entry["value"] is None:
        return row
    if entry["interval"]:
        low, high = entry["interval"]
        row["interval"] = f"{low:.3f} to {high:.3f}" if name in PLAIN else percent_range((low, high), trials)
        row["kind"] = entry.get("interval_kind") or ""
    if entry.get("denominator") is not None and name != "log_likelihood":
        unit = " GeV" if "energy" in name or "purity" in name or "completeness" in name else ""
        row["counts"] = f"{count(round(entry['numerator']))} of {count(round(entry['denominator']))}{unit}"
    return row


def trials_of(metrics: Mapping[str, Any], name: str) -> int:
    """Return the number that says how many digits a rate deserves."""
    return metrics["num_events"] if name == "exact_match" else sum(metrics["per_event"]["num_points"])


def side_by_side(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``columns`` (heading, definition) and ``rows``: name, cells, time, differences to the first."""
    names = headline_rates(metrics)
    definitions = {name: metrics["choices"]["rates"][name] for name in names}
    probability = [name for name in PROBABILITY[:2] if any(item["probability"] for item in members(metrics).values())]
    definitions |= {name: metrics["choices"]["probability"][name] for name in probability}
    rows: list[Row] = []
    for name, item in members(metrics).items():
        compared = metrics["comparisons"].get(name)
        entries = item["rates"]["all"] | (item["probability"] or {})
        timing = item.get("timing")
        rows.append(
            {
                "name": name,
                "cells": [
                    cell_of(rate, entries.get(rate), trials_of(item, rate)) | {"counts": ""} for rate in definitions
                ],
                "time": UNDEFINED if not timing else seconds(timing["stages"]["total"]["median"]),
                "differences": [points(compared["rates"]["all"].get(rate)) for rate in definitions] if compared else [],
            }
        )
    return {"columns": [(SHORT[name], text) for name, text in definitions.items()], "rows": rows}


def rate_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one table a group of tracksters: every rate of every method; all but the first are folded.

    Differences stand in the table of the methods side by side, and all of them in ``metrics.json``.
    """
    methods = members(metrics)
    tables = []
    for group, meaning in metrics["choices"]["groups"].items():
        rows = []
        for rate, entry in metrics["rates"][group].items():
            cells = []
            for item in methods.values():
                found = item["rates"][group].get(rate)
                cells.append(cell_of(rate, found, trials_of(item, rate)))
                mean = (found or {}).get("trackster_mean")
                if mean is not None:
                    cells[-1]["counts"] += f"; mean {percent(mean, 1000)}"
            rows.append(
                {
                    "key": rate,
                    "definition": entry["definition"],
                    "cells": cells,
                    "differences": [],
                }
            )
        if group == "all":
            rows += _probability_rows(metrics, methods)
        tables.append(
            {
                "title": "Rates over all tracksters" if group == "all" else f"The same: {meaning}",
                "text": f"{meaning[:1].upper()}{meaning[1:]}, as one sample: sums over all of them are divided.",
                "names": list(methods),
                "compared": [],
                "rows": rows,
                "folded": group != "all",
            }
        )
    return tables


def _probability_rows(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> list[Row]:
    return [
        {
            "key": name,
            "definition": metrics["choices"]["probability"][name],
            "cells": [cell_of(name, (item["probability"] or {}).get(name)) for item in methods.values()],
            "differences": [],
        }
        for name in PROBABILITY
    ]


def bin_table(metrics: Mapping[str, Any], which: str) -> dict[str, Any]:
    """Return F1, exact match and energies of every method in the bins of ``which`` that are not empty."""
    methods = members(metrics)
    rows = []
    for place, item in enumerate(metrics[which]):
        if not item["num_tracksters"]:
            continue
        cells = [
            cell_of(rate, method[which][place]["rates"].get(rate), item["num_layer_clusters"]) | {"counts": ""}
            for rate in SIZE_RATES
            for method in methods.values()
        ]
        rows.append({"name": item["label"], "number": count(item["num_tracksters"]), "cells": cells})
    return {"groups": [(SHORT[rate], len(methods)) for rate in SIZE_RATES], "names": list(methods), "rows": rows}


def sample_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the labels are like: name and value."""
    found = metrics["sample"]
    size = found["num_points"]
    return [
        ("tracksters", count(found["num_tracksters"])),
        ("layer clusters", count(found["num_layer_clusters"])),
        ("links", count(found["num_links"])),
        ("layer clusters of a trackster", f"mean {size['mean']:.1f}, median {size['median']:g}, most {size['max']}"),
        ("layer clusters to prune", f"{count(found['num_to_prune'])}, {percent(found['share_to_prune'], 1000)}"),
        ("their share of the energy", percent(found["share_energy_to_prune"], 1000)),
        ("tracksters with nothing to prune", percent(found["share_without_positive"], 1000)),
    ]


def sample_rank_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return accuracy and mass of the most frequent configurations, k = 1, 2, 5, 10 and 20, one row a group or size."""
    found = metrics["samples"]
    if found is None:
        return []
    places = [*((metrics["choices"]["groups"][name], item) for name, item in found["groups"].items())]
    places += [(f"{item['label']} layer clusters", item) for item in found["by_size"] if item["num_tracksters"]]
    return [
        {
            "name": name,
            "number": count(item["num_tracksters"]),
            "cells": [cell_of("exact_match", item["top_accuracy"][k - 1]) | {"counts": ""} for k in RANKS]
            + [
                {"value": percent(item["top_mass"][k - 1]), "interval": "", "counts": ""} for k in (RANKS[0], RANKS[-1])
            ],
        }
        for name, item in places
    ]


RANKS = (1, 2, 5, 10, 20)
