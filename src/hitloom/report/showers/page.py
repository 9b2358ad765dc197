"""The report of shower growing: one HTML page with every number, its definition, plots, displays and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hitloom._version import __version__
from hitloom.report.page import NO_PANEL, POLICY, plotly_script, raw, render, template_text
from hitloom.report.page_parts import (
    RESAMPLED_INTERVAL,
    Drawn,
    bootstrap_rows,
    diagnostics,
    lede,
    listings,
    plot_groups,
    time_tile,
)
from hitloom.report.report_tables import Row, timing_rows
from hitloom.report.showers.collect import Shown
from hitloom.report.showers.config import ShowerEvaluationConfig
from hitloom.report.showers.display import shower_panel
from hitloom.report.showers.headline import RATES, SHORT, gain_of
from hitloom.report.showers.iterations import iteration_table
from hitloom.report.showers.tables import (
    MATCHED,
    bin_table,
    cell_of,
    kind_rows,
    members,
    merging_table,
    number_of,
    rate_tables,
    row_meanings,
    sample_rows,
    side_by_side,
    similarity_tables,
)

WORDS = (
    ("slice, view", "one event of a file, and what one of the three wire planes (U, V, W) sees of it"),
    ("hit", "charge on one wire: a rectangle, its width along the drift direction by one wire pitch"),
    ("cluster", "hits of one view that pattern recognition put together; showers break into many of them"),
    ("group", "clusters that a method says belong to one particle"),
    ("similarity", "sum over particles of the product of the shares that two clusters have of each"),
    ("ARI", "adjusted Rand index: agreement of groups and particles on pairs of hits; 0 = chance, 1 = the same"),
    ("purity", "share of the hits that are of the particle with most of their group"),
    ("completeness", "share of the hits that are in the group with most of their particle"),
    ("split, swallowed", "a particle in several groups of its own; a particle without a group of its own"),
    RESAMPLED_INTERVAL,
)
_GROUPS = (
    ("Against iterations", ("iterations_",), "Grouping repeated on merged clusters."),
    ("Slices", ("slice_", "similarity_"), "Typical, best and worst by the mean ARI of their views."),
    ("Against the number of clusters", ("clusters_",), "Means over views."),
    ("Against the leading shower", ("leading_",), "Means over views, by the energy of their most energetic shower."),
    ("Showers one by one", ("shower_",), "Each matched to the group that holds most of its hits."),
    ("Distributions, and time", ("histogram_", "inference_time"), "One entry a view."),
)


def report_page(
    metrics: Mapping[str, Any], drawn: Sequence[Drawn], shown: Shown, config: ShowerEvaluationConfig
) -> str:
    """Return the page as HTML."""
    sample, definitions = metrics["headline"]["sample"], metrics["choices"]
    values: dict[str, Any] = {
        "title": "Shower growing in wire views",
        "lede": lede(
            metrics, holding=f"{sample['num_clusters']:,} clusters of {sample['num_hits']:,} hits", what="view"
        ),
        "policy": POLICY,
        "style": raw(template_text("style.css")),
        "version": __version__,
        "made_at": metrics["provenance"]["evaluated_at"],
        "diagnostics": diagnostics(metrics),
        "tiles": _tiles(metrics),
        "choices": _choices(metrics),
        "interval": metrics["headline"]["interval"][:1].upper() + metrics["headline"]["interval"][1:],
        "meanings": row_meanings(metrics),
        "beside": side_by_side(metrics),
        "iterations": iteration_table(metrics),
        "rate_tables": rate_tables(metrics),
        "merging": merging_table(metrics),
        "min_hits": metrics["particles"]["min_hits"],
        "matched": [
            (SHORT[name], definitions["matching"].get(name) or definitions["merging"][name]) for name in MATCHED
        ],
        "kind_rows": kind_rows(metrics),
        "bin_tables": [
            ("clusters", "By the number of clusters of the view", bin_table(metrics, "by_clusters")),
            ("leading shower", "By the energy of the leading shower", bin_table(metrics, "by_energy")),
        ],
        "similarity_tables": similarity_tables(metrics),
        "plot_groups": plot_groups(drawn, _GROUPS),
        "sample_rows": sample_rows(metrics),
        "timing_rows": timing_rows(metrics),
        "names": list(members(metrics)),
        "words": WORDS,
        "provenance": bootstrap_rows(metrics),
        "listings": listings(metrics),
    } | NO_PANEL
    if shown.views and config.display:
        slices = list(dict.fromkeys(view.slice for view in shown.views))[: config.num_displays]
        views = [view for view in shown.views if view.slice in slices]
        values |= shower_panel(views) | {"plotly": plotly_script(), "panel": "shower_panel.html"}
    return render("shower_report.html", values)


def _choices(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    head, choices = metrics["headline"], metrics["choices"]
    return [
        ("sample", head["sample"]["source"] or "not named"),
        ("detector", choices["detector"]),
        ("hits", head["hits"]),
        ("cuts", head["cuts"]),
        ("pairs", head["threshold"]),
        ("true similarity", choices["denominator"]),
        ("clusters left over", choices["unassigned"]),
        ("energy of a particle", choices["energy"]),
        ("intervals", head["interval"]),
        ("fingerprint of the truth", metrics["data_fingerprint"]),
    ]


def _tiles(metrics: Mapping[str, Any]) -> list[Row]:
    gain = gain_of(metrics)
    tiles = []
    for rate in RATES[:3]:
        entry = metrics["partitions"]["all"]["all"][rate]
        shown = cell_of(entry)
        way = f"{100 * gain:.0f} % of the way from none to target" if rate == "ari" and gain is not None else ""
        tiles.append(
            {
                "label": SHORT[rate][:1].upper() + SHORT[rate][1:],
                "value": shown["value"],
                "interval": f"68 % interval {shown['interval']}" if shown["interval"] else "",
                "by_event": way,
                "what": entry["definition"],
                "versus": [
                    f"{name}: {number_of(item['partitions']['all']['all'][rate])}"
                    for name, item in list(members(metrics).items())[1:]
                ],
            }
        )
    return [*tiles, *time_tile(metrics, of="view")]
