"""The report of pruning: one HTML page with every number, its definition, the plots, the displays, the provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hitloom._version import __version__
from hitloom.report.numbers import percent
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
from hitloom.report.pruning.collect import Shown
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.pruning.display import pruning_panel
from hitloom.report.pruning.headline import SHORT, headline_rates
from hitloom.report.pruning.tables import (
    RANKS,
    bin_table,
    cell_of,
    members,
    rate_tables,
    sample_rank_rows,
    sample_rows,
    side_by_side,
    trials_of,
)
from hitloom.report.report_tables import Row, timing_rows

WORDS = (
    ("layer cluster", "energy deposits on one layer of the calorimeter that were clustered together"),
    ("trackster", "layer clusters of several layers that CLUE3D linked as one particle; each is an event here"),
    ("prune, keep", "take a layer cluster out of its trackster, or leave it in"),
    ("positive", "a layer cluster to prune: it does not belong to the particle that its trackster stands for"),
    ("TP, FP, FN, TN", "pruned rightly, pruned wrongly, kept wrongly, kept rightly"),
    ("F1", "2 TP / (2 TP + FP + FN): one number for pruning what should be and nothing else"),
    ("exact match", "every layer cluster of a trackster decided rightly"),
    (
        "energy retained, pruned",
        "share of the energy to keep that is kept, share of the energy to prune that is pruned",
    ),
    ("purity", "share of a trackster's energy that its particle made"),
    ("completeness", "share of a particle's energy in the calorimeter that its trackster holds"),
    ("P(prune)", "the probability that a method gives a layer cluster to be pruned"),
    ("configuration", "the decisions on all layer clusters of a trackster together"),
    ("free-running", "a method feeds back only what it decided itself; teacher-forced would be to feed back the truth"),
    RESAMPLED_INTERVAL,
)
_GROUPS = (
    ("By size of the trackster", ("size_",), "The same decisions, by the number of layer clusters of the trackster."),
    ("By what there is to prune", ("share_",), "By the share of the trackster's layer clusters that should be pruned."),
    ("Probabilities", ("curve_", "scan_", "configurations"), "How well P(prune) orders layer clusters and means what "
     "it says, and whole configurations."),
    ("Tracksters before and after pruning", ("trackster_",), "Typical ones, largest gains, largest losses."),
    ("The sample, and time", ("sample_", "inference_time"), "What the labels are like, and what pruning costs."),
)  # fmt: skip
_TILES = ("f1", "energy_sum", "exact_match", "purity_after", "label_purity_after")


def report_page(
    metrics: Mapping[str, Any], drawn: Sequence[Drawn], shown: Shown, config: PruningEvaluationConfig
) -> str:
    """Return the page as HTML."""
    sample = metrics["headline"]["sample"]
    found = metrics["samples"]
    values: dict[str, Any] = {
        "title": "Pruning of tracksters",
        "lede": lede(metrics, holding=f"{sample['num_layer_clusters']:,} layer clusters", what="trackster"),
        "policy": POLICY,
        "style": raw(template_text("style.css")),
        "version": __version__,
        "made_at": metrics["provenance"]["evaluated_at"],
        "diagnostics": diagnostics(metrics),
        "tiles": _tiles(metrics),
        "choices": _choices(metrics),
        "interval": metrics["headline"]["interval"][:1].upper() + metrics["headline"]["interval"][1:],
        "beside": side_by_side(metrics),
        "rate_tables": rate_tables(metrics),
        "bin_tables": [
            ("layer clusters", "By the number of layer clusters", bin_table(metrics, "by_size")),
            ("to prune", "By the share of layer clusters to prune", bin_table(metrics, "by_share")),
        ],
        "ranks": RANKS,
        "rank_rows": sample_rank_rows(metrics),
        "rank_text": ""
        if found is None
        else f"{found['num_samples']} configurations drawn for each of {found['num_tracksters']:,} tracksters. "
        f"Accuracy: {found['definitions']['top_accuracy']}. Mass: {found['definitions']['top_mass']}.",
        "sample_rows": sample_rows(metrics),
        "plot_groups": plot_groups(drawn, _GROUPS),
        "timing_rows": timing_rows(metrics),
        "names": list(members(metrics)),
        "words": WORDS,
        "provenance": bootstrap_rows(metrics),
        "listings": listings(metrics),
    } | NO_PANEL
    if shown.views and config.display:
        values |= pruning_panel(shown.views) | {"plotly": plotly_script(), "panel": "pruning_panel.html"}
    return render("pruning_report.html", values)


def _choices(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    head = metrics["headline"]
    return [
        ("decisions", head["decisions"]),
        ("threshold", metrics["choices"]["threshold"]),
        ("sample", head["sample"]["source"] or "not named"),
        ("cuts", head["cuts"]),
        ("labels", head["matching"]),
        ("positive", metrics["choices"]["positive"]),
        ("intervals", head["interval"]),
        ("fingerprint of the truth", metrics["data_fingerprint"]),
    ]


def _tiles(metrics: Mapping[str, Any]) -> list[Row]:
    tiles = []
    for rate in [name for name in headline_rates(metrics) if name in _TILES]:
        entry = metrics["rates"]["all"][rate]
        shown = cell_of(rate, entry, trials_of(metrics, rate))
        before = metrics["rates"]["all"].get(rate.replace("after", "before"))
        tiles.append(
            {
                "label": SHORT[rate][:1].upper() + SHORT[rate][1:],
                "value": shown["value"],
                "interval": f"68 % interval {shown['interval']}" if shown["interval"] else "",
                "by_event": f"before pruning: {percent(before['value'], 1000)}" if "after" in rate and before else "",
                "what": entry["definition"],
                "versus": [
                    f"{name}: {cell_of(rate, item['rates']['all'].get(rate), trials_of(item, rate))['value']}"
                    for name, item in list(members(metrics).items())[1:]
                ],
            }
        )
    return [*tiles, *time_tile(metrics, of="trackster")]
