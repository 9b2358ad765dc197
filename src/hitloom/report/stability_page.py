"""The files of a stability study: numbers as JSON, maps as arrays, plots, and one HTML page that works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hitloom._version import __version__
from hitloom.data.perturb import Perturbation
from hitloom.metrics.stability import DEFINITIONS
from hitloom.report.numbers import UNDEFINED, count
from hitloom.report.page import POLICY, raw, render, template_text, to_json
from hitloom.report.page_parts import Drawn, picture
from hitloom.report.stability_plots import OWN_PLOTS, stability_plots
from hitloom.report.stability_run import StabilityRun
from hitloom.report.write import REPORT, draw_all, write_folder, write_texts

NUMBERS, MAPS = "stability.json", "maps.npz"
TITLES = {
    "flip_rate": "flip rate of edges",
    "shift": "mean |p - p_k| of edges",
    "appeared": "edges that appear",
    "rand_index": "adjusted Rand index",
    "kept_pairs": "pairs kept",
    "gained_pairs": "pairs gained",
    "candidates": "candidates, perturbed / as is",
    "dU": "dU as is",
    "dU_perturbed": "dU perturbed",
    "dU_moved": "dU moved",
    "dO": "dO as is",
    "dO_perturbed": "dO perturbed",
    "dO_moved": "dO moved",
}
TILES = ("flip_rate", "shift", "rand_index", "kept_pairs")
WORDS = (
    ("perturbed sample", "the event with its points moved, or one feature shifted, and nothing else changed"),
    ("flip", "an edge that is above the threshold in the event as it is and not in the sample, or the reverse"),
    ("partition", "the grouping of the points into candidates; always compared, whatever the system"),
    ("dU, dO", f"{DEFINITIONS['dU']}; {DEFINITIONS['dO']}"),
)


def write_stability(
    run: StabilityRun,
    perturbation: Perturbation,
    output: Path,
    *,
    provenance: Mapping[str, Any],
    map_settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``stability.json``, ``maps.npz``, ``plots/*.png`` and ``report.html``; return what the JSON holds.

    Parameters
    ----------
    provenance : mapping
        Where models and events come from.
    map_settings : mapping or None
        Settings of :func:`hitloom.report.stability_plots.stability_plots`.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    found = run.result() | {"provenance": {**provenance, "hitloom": __version__}}

    def make(folder: Path) -> None:
        drawn = draw_all(stability_plots(run, perturbation, **(map_settings or {})), folder / "plots")
        np.savez_compressed(folder / MAPS, **_arrays(run))
        write_texts({NUMBERS: to_json(found) + "\n", REPORT: stability_page(found, drawn)}, folder)

    write_folder(output, make, own_plots=OWN_PLOTS)
    return found


def _arrays(run: StabilityRun) -> dict[str, Any]:
    """Return the places of all maps with sums and counts, as ``model/map/column``."""
    arrays: dict[str, Any] = {}
    for model, study in zip(run.models, run.studies, strict=True):
        maps = {"edges": study.maps.edges} | {f"objects_{kind}": item for kind, item in study.maps.objects.items()}
        for name, points in maps.items():
            arrays |= {f"{model.name}/{name}/{column}": values for column, values in points.arrays().items()}
    return arrays


def stability_page(found: Mapping[str, Any], drawn: Sequence[Drawn]) -> str:
    """Return the report as HTML."""
    names = list(found["models"])
    first = found["models"][names[0]]
    return render(
        "stability.html",
        {
            "title": "Stability of " + " and ".join(names),
            "lede": _lede(found),
            "policy": POLICY,
            "style": raw(template_text("style.css")),
            "version": __version__,
            "tiles": [_tile(key, found["models"], names) for key in TILES if key in first["means"]],
            "settings": _settings(found),
            "names": names,
            "rows": _rows(found, names),
            "agreement": _agreement(found),
            "plots": [picture(item) for item in drawn],
            "events": _events(first),
            "words": WORDS,
            "provenance": [(key, str(value)) for key, value in found["provenance"].items()],
        },
    )


def _lede(found: Mapping[str, Any]) -> str:
    settings, number = found["settings"], next(iter(found["models"].values()))["num_events"]
    samples = max(settings["num_partition_samples"], settings["num_edge_samples"])
    events = f"{number:,} event{'' if number == 1 else 's'}"
    return (
        f"{events}, {samples} perturbed samples of each ({settings['perturbation']['kind']}): how often does a "
        "decision change when the input moves within its errors?"
    )


def text_of(entry: Mapping[str, Any] | None) -> str:
    """Return a mean in words."""
    value = None if entry is None else entry["value"]
    return UNDEFINED if value is None else f"{value:.4g}"


def range_of(interval: Sequence[float | None] | None) -> str:
    """Return an interval in words, empty without one."""
    if interval is None or None in interval:
        return ""
    return f"{interval[0]:.4g} to {interval[1]:.4g}"


def _tile(key: str, models: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    entry = models[names[0]]["means"][key]
    others = [f"{name}: {text_of(models[name]['means'].get(key))}" for name in names[1:]]
    return {
        "label": TITLES[key],
        "value": text_of(entry),
        "interval": range_of(entry["interval"]),
        "versus": others,
        "what": entry["definition"],
    }


def _settings(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = found["settings"]
    rows = [(key, str(value)) for key, value in settings["perturbation"].items()]
    rows += [
        ("samples for partitions", str(settings["num_partition_samples"])),
        ("samples for edges", str(settings["num_edge_samples"])),
        ("seed", str(settings["seed"])),
    ]
    rows += [
        (f"threshold of {name}", UNDEFINED if item["threshold"] is None else f"{item['threshold']:g}")
        for name, item in found["models"].items()
    ]
    return rows


def _rows(found: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row a mean: its definition, its value in each model, and their difference."""
    rows = []
    for key, title in TITLES.items():
        entries = [found["models"][name]["means"].get(key) for name in names]
        present = next((entry for entry in entries if entry is not None), None)
        if present is None:
            continue
        cells = [
            {
                "value": text_of(entry),
                "interval": "" if entry is None else range_of(entry["interval"]),
                "counts": "" if entry is None else f"{count(entry['numerator'])} of {count(entry['denominator'])}",
            }
            for entry in entries
        ]
        gap = found.get("comparison", {}).get("differences", {}).get(key)
        difference = None
        if gap is not None and gap["difference"] is not None:
            difference = {"value": f"{gap['difference']:+.4g}", "interval": range_of(gap["interval"]), "counts": ""}
        rows.append({"title": title, "definition": present["definition"], "cells": cells, "difference": difference})
    return rows


def _agreement(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    titles = {
        "disagreement": "edges decided differently",
        "distance": "mean |p - q|",
        "rand_index": "adjusted Rand index",
    }
    entries = found.get("comparison", {}).get("agreement", {})
    return [
        {
            "title": titles[key],
            "definition": entry["definition"],
            "value": text_of(entry),
            "interval": range_of(entry["interval"]),
        }
        for key, entry in entries.items()
    ]


def _events(model: Mapping[str, Any]) -> dict[str, Any]:
    keys = [key for key in ("event_id", "num_points", "num_edges", "num_candidates", "num_candidates_perturbed",
                            "flips", "rand_index", "rand_index_lowest") if model["per_event"] and key in
            model["per_event"][0]]  # fmt: skip
    cells = [[f"{event[key]:.4g}" if isinstance(event[key], float) else str(event[key]) for key in keys]
             for event in model["per_event"]]  # fmt: skip
    return {"keys": [key.replace("_", " ") for key in keys], "rows": cells}
