"""The report of tracksters: one HTML page with every number, its definition, the plots, the display, the provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hitloom._version import __version__
from hitloom.metrics.edge_energy import CONFUSION_NAMES
from hitloom.report.numbers import UNDEFINED, percent
from hitloom.report.page import NO_PANEL, POLICY, plotly_script, raw, render, template_text
from hitloom.report.page_parts import (
    COUNTED_INTERVAL,
    Drawn,
    bootstrap_rows,
    diagnostics,
    lede,
    listings,
    plot_groups,
    time_tile,
)
from hitloom.report.report_tables import Row, cell, timing_rows
from hitloom.report.tracksters.compare import EDGE_F1
from hitloom.report.tracksters.config import TracksterEvaluationConfig
from hitloom.report.tracksters.display import trackster_panel
from hitloom.report.tracksters.headline import lost_energy
from hitloom.report.tracksters.tables import (
    EDGE_RATES,
    RATIOS,
    SPECIES_RATES,
    dataset_rows,
    edge_rows,
    energy_rows,
    f1_cell,
    graph_rows,
    overlap_rows,
    rate_tables,
    side_by_side,
    species_rows,
    with_before,
)
from hitloom.report.tracksters.view import TracksterView

WORDS = (
    ("layer cluster", "energy deposits on one layer of the calorimeter that were clustered together"),
    ("trackster", "layer clusters of several layers that were clustered together; often only a piece of a particle"),
    ("candidate", "tracksters that the linking joined; a trackster that it left alone is a candidate too"),
    ("candidate edge", "a pair of tracksters close in eta and phi, which the linking may join"),
    ("object", "a true particle in the calorimeter; SC: as it entered, CP: all of one origin summed"),
    ("signal, pile-up", "objects of the hard process, and of the other collisions of the same event"),
    ("match", "the one object with recoToSim < 0.2 for a trackster; none or several: the trackster is unmatched"),
    ("recoToSim, simToReco", "official scores between a trackster and an object: 0 the same, 1 nothing in common"),
    ("dU, missing energy", "energy of a true group outside the candidate that holds most of it: what was not linked"),
    ("dO, foreign energy", "energy of that candidate that is not of the group: what was linked wrongly"),
    ("working point", "the cut on the probability of an edge above which its ends are joined"),
    ("F1", "2 TP / (2 TP + FP + FN): one number for joining true edges and leaving false ones"),
    COUNTED_INTERVAL,
)
_GROUPS = (
    ("Official rates of signal", ("rate_efficiency", "rate_purity", "rate_split", "rate_merge", "rate_fake"),
     "Before and after linking and for the methods beside it, against what the object or the trackster is."),
    ("Official rates by other truth, and of pile-up", ("rate_",), "The same where other objects count."),
    ("Missing and foreign energy", ("overlap_",), "Per event and by place in both endcaps."),
    ("Scores of edges", ("edge_",), "How well the probabilities tell true from false edges, in all and by energy."),
    ("The network", ("network_",), "Its training, and what its scores depend on."),
    ("Features and time", ("feature_", "inference_time"), "What goes into the linking, and what it costs."),
)  # fmt: skip


def report_page(
    metrics: Mapping[str, Any],
    drawn: Sequence[Drawn],
    view: TracksterView | None,
    config: TracksterEvaluationConfig,
) -> str:
    """Return the page as HTML."""
    edges = metrics["edges"]
    values: dict[str, Any] = {
        "title": "Trackster linking",
        "lede": lede(metrics, holding=f"{metrics['headline']['sample']['num_tracksters']:,} tracksters"),
        "policy": POLICY,
        "style": raw(template_text("style.css")),
        "version": __version__,
        "made_at": metrics["provenance"]["evaluated_at"],
        "diagnostics": diagnostics(metrics),
        "tiles": _tiles(metrics),
        "choices": _choices(metrics),
        "beside": side_by_side(metrics),
        "rate_tables": rate_tables(metrics),
        "species": species_rows(metrics),
        "species_heads": [f"{rate}, {state}" for rate in SPECIES_RATES for state in ("after", "before")],
        "overlap": [
            {"truth": truth, "rows": overlap_rows(metrics, truth), "folded": truth != metrics["truth"]}
            for truth in metrics["overlap"]
        ],
        "overlap_definitions": list(metrics["choices"]["overlap"].items()),
        "group_definitions": list(metrics["choices"]["groups"].items()),
        "methods": list(with_before(metrics)),
        "edge_heads": [name.replace("_fraction", "") for name in EDGE_RATES],
        "ratio_heads": [name.replace("lr_plus", "LR+").replace("lr_minus", "LR-") for name in RATIOS],
        "confusion_heads": [name.replace("_", " ") for name in CONFUSION_NAMES],
        "edge_tables": _edge_tables(metrics),
        "edge_definitions": list(metrics["choices"]["edges"]["rates"].items()),
        "edge_words": metrics["choices"]["edges"],
        "point": edges["working_point"] if edges else None,
        "best": edges["scan"]["best"] if edges else None,
        "dataset": dataset_rows(metrics),
        "true_share": percent(metrics["dataset"]["true_edge_fraction"], 10_000),
        "unmatched_share": percent(metrics["dataset"]["unmatched_fraction"], 10_000),
        "graph": list(graph_rows(metrics)),
        "graph_definition": metrics["candidate_graph"]["definition"],
        "components": _components(metrics),
        "components_definition": metrics["candidate_graph"]["components_definition"],
        "plot_groups": plot_groups(drawn, _GROUPS),
        "timing_rows": timing_rows(metrics),
        "names": [metrics["name"], *metrics["baselines"]],
        "words": WORDS,
        "provenance": bootstrap_rows(metrics),
        "listings": listings(metrics),
    } | NO_PANEL
    if view is not None:
        values |= trackster_panel(view, max_points=config.max_display_points) | {"plotly": plotly_script()}
    return render("trackster_report.html", values)


def _choices(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    head = metrics["headline"]
    return [
        ("truth", f"{head['truth']}: {head['truth_meaning']}"),
        ("objects that count", f"{head['objects']}; signal"),
        ("official scores", metrics["choices"]["score_variant"].replace("_", "-")),
        ("true groups of missing and foreign energy", f"{head['lost_energy']['groups']}, signal"),
        ("events", f"{head['sample']['num_events']:,}"),
        ("fingerprint of the truth", metrics["data_fingerprint"]),
    ]


def _tiles(metrics: Mapping[str, Any]) -> list[Row]:
    methods = with_before(metrics)
    truth = metrics["truth"]
    tiles = []
    for rate, label in (("efficiency", "Efficiency"), ("split", "Split objects"), ("merge", "Merged candidates")):
        entry = metrics["headline"]["rates"].get(rate)
        if entry is None:
            continue
        shown = cell(entry)
        others = [
            f"{name}: {cell(item['rates'][truth]['signal'][rate])['value']}" for name, item in list(methods.items())[1:]
        ]
        tiles.append(
            {
                "label": label,
                "value": shown["value"],
                "interval": f"68 % interval {shown['interval']} (Clopper-Pearson)" if shown["interval"] else "",
                "what": f"{shown['counts']}: {entry['definition']}",
                "versus": others,
            }
        )
    lost, f1 = lost_energy(metrics, "signal"), f1_cell(metrics)
    f1_interval = f"68 % interval {f1['interval']} (bootstrap over events)" if f1["interval"] else ""
    tiles.append(
        {
            "label": "Lost energy, dU + dO",
            "value": percent(lost["value"]),
            "interval": f"missing {percent(lost['missing'])}, foreign {percent(lost['foreign'])}",
            "what": f"{lost['definition']}, signal, {lost['groups']}",
            "versus": [
                f"{name}: {percent(lost_energy(item, 'signal', truth)['value'])}"
                for name, item in list(methods.items())[1:]
            ],
        }
    )
    tiles.append(
        {
            "label": "F1 of edges",
            "value": f1["value"],
            "interval": f1_interval,
            "what": EDGE_F1,
            "versus": [f"{name}: {f1_cell(item)['value']}" for name, item in list(methods.items())[1:]],
        }
    )
    return [*tiles, *time_tile(metrics, of="event")]


def _edge_tables(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [
        (
            "Joined edges",
            f"An edge is joined when {metrics['choices']['edges']['joined']}: also where only other edges joined them.",
            metrics["joined_edges"],
        )
    ]
    if metrics["edges"] is not None:
        point = metrics["edges"]["working_point"]
        text = f"The decision on each edge alone: {point['text']} ({point['source']})."
        found.insert(0, ("Scores at the working point", text, metrics["decided_edges"]))
    return [
        {"title": title, "text": text, "rows": [*edge_rows(table), *energy_rows(table)]} for title, text, table in found
    ]


def _components(metrics: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (
            name,
            f"{item['num_components']:,.1f}",
            UNDEFINED if item["mean_size"] is None else f"{item['mean_size']:.2f}",
            f"{item['max_size']:,}",
        )
        for name, item in metrics["candidate_graph"]["components"].items()
    ]
