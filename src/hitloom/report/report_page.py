"""The report: one HTML page with every number, its definition, the plots, the event display and the provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hitloom._version import __version__
from hitloom.metrics.definitions import MATCHES
from hitloom.report.config import EvaluationConfig
from hitloom.report.edge_plots import edge_definitions, edge_rows
from hitloom.report.numbers import count
from hitloom.report.page import POLICY, plotly_script, raw, render, template_text
from hitloom.report.page_parts import COUNTED_INTERVAL, Drawn, diagnostics, lede, listings, plot_groups, provenance_rows
from hitloom.report.plots import Chosen
from hitloom.report.report_tables import budget_rows, convention_rows, names_of, rate_rows, tiles, timing_rows
from hitloom.report.side_by_side import side_by_side
from hitloom.report.view import EventView

WORDS = (
    ("hit", "a measured point where a particle crossed a detector layer, or noise"),
    ("particle", "a true charged particle of the simulation; it owns the hits that it made"),
    ("track", "a set of hits that the reconstruction says one particle made; each hit is in at most one track"),
    ("valid track", "a track with at least as many hits as the selection asks for (3 unless said otherwise)"),
    ("target particle", "a particle that a good reconstruction should find: it passes the cuts on pt, eta and hits"),
    ("matching", "the rule by which a track counts as the track of a particle"),
    (
        "double majority",
        "the strict rule of the headline: the particle made more than half of the track's hits, and the track holds "
        "more than half of the particle's hits",
    ),
    ("efficiency", "target particles that were found / target particles"),
    ("fake", "a valid track that matches no particle; which tracks it is divided by is part of the rate's name"),
    ("duplicate", "a further track of a particle that was already found"),
    ("purity", "share of a track's hits that its particle made"),
    ("noise", "a hit without a particle; it matches nothing"),
    ("pt, eta, phi", "transverse momentum (GeV), pseudorapidity and azimuth of a particle"),
    ("universe", "which hits of a particle count: all of the event (original), or those the network was given (input)"),
    COUNTED_INTERVAL,
    ("eps, min_samples", "settings of DBSCAN, which groups hits that lie close together in the learned embedding"),
    (
        "edge, truth edge",
        "a pair of hits that a graph joins; it is true when the two are consecutive hits of one particle",
    ),
    ("embedding", "the space in which the network places hits of one particle close to each other"),
)
_GROUPS = (
    ("Efficiency", ("track_efficiency",), "How often a target particle is found, against what it is."),
    (
        "Fakes and working point",
        ("fake_rate", "track_eff_dbscan"),
        "How many tracks match no particle, and what other settings of the clustering would give.",
    ),
    ("Where particles are lost", ("loss_budget",), "The loss budget, in all and against pt and eta."),
    (
        "Edges",
        ("edge_",),
        "What the graphs keep of the truth edges, how pure they are, and how well scores tell true from false edges.",
    ),
    (
        "Quality and time",
        ("track_", "inference_time"),
        "How pure tracks are, how completely they hold their particle, and what a larger event costs.",
    ),
)


def report_page(
    metrics: Mapping[str, Any],
    drawn: Sequence[Drawn],
    view: EventView | None,
    config: EvaluationConfig,
    chosen: Chosen,
) -> str:
    """Return the page as HTML."""
    values: dict[str, Any] = {
        "title": "Track reconstruction",
        "lede": lede(metrics, holding=f"{count(metrics['headline']['sample']['num_hits'])} hits"),
        "policy": POLICY,
        "style": raw(template_text("style.css")),
        "version": __version__,
        "made_at": metrics["provenance"]["evaluated_at"],
        "diagnostics": diagnostics(metrics),
        "tiles": tiles(metrics),
        "choices": _choices(metrics),
        "names": names_of(metrics),
        "beside": side_by_side(metrics) if metrics["baselines"] else None,
        "rate_tables": _rate_tables(metrics, chosen),
        "conventions": convention_rows(metrics),
        "matches": MATCHES,
        "used_matches": _used_matches(metrics),
        "definition_version": metrics["definition_version"],
        "plot_groups": plot_groups(drawn, _GROUPS),
        "budget": budget_rows(metrics),
        "edge_rows": edge_rows(metrics),
        "edge_definitions": edge_definitions(metrics),
        "budget_text": metrics["loss_budget"]["selection"]["text"],
        "timing_rows": timing_rows(metrics),
        "timing_text": _timing_text(metrics),
        "words": WORDS,
        "provenance": _provenance(metrics),
        "listings": listings(metrics),
        "display": None,
        "plotly": "",
        "figures": "",
        "script": "",
    }
    if view is not None:
        from hitloom.report.event_page import panel_values

        panel = panel_values(view, max_hits=config.max_display_hits)
        panel["display"]["event_id"] = view.event_id
        values |= panel | {"plotly": plotly_script()}
    return render("report.html", values)


def _choices(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    headline = metrics["headline"]
    sample = headline["sample"]
    return [
        ("hits", sample["hit_selection"] + ("; chosen by truth" if sample["truth_selected_input"] else "")),
        ("particles and tracks that count", headline["cuts"]),
        ("matching", f"{headline['matching']['name']}: {headline['matching']['definition']}"),
        ("rates", "efficiency per target particle; fakes per valid track of any pt"),
        ("events", f"{sample['num_events']:,}"),
        ("fingerprint of the truth", sample["data_fingerprint"]),
    ]


def _rate_tables(metrics: Mapping[str, Any], chosen: Chosen) -> list[dict[str, Any]]:
    places = {("headline", "pt>1.0"): "All rates of the headline"}
    places.setdefault((chosen.preset, chosen.target), "All rates of the configured targets")
    tables = []
    for (preset, target), title in places.items():
        entries = metrics["presets"][preset][target]
        kind = next((entry["event_interval_kind"] for entry in entries.values()), None)
        tables.append(
            {
                "title": title,
                "text": f"Particles: {metrics['choices']['presets'][preset]['targets'][target]['text']}.",
                "rows": rate_rows(metrics, preset, target),
                "folded": (preset, target) != ("headline", "pt>1.0"),
                "bootstrap": f" ({kind})" if kind else " (none with one event)",
            }
        )
    return tables


def _used_matches(metrics: Mapping[str, Any]) -> list[str]:
    used = {match for preset in metrics["choices"]["presets"].values() for match in preset["matches"]}
    return [name for name in MATCHES if name in used]


def _timing_text(metrics: Mapping[str, Any]) -> str:
    timing = metrics["timing"]
    if timing is None:
        return ""
    definition = timing["definition"]
    text = f"{definition[0].upper()}{definition[1:]}. Hardware: {timing['hardware'] or 'not recorded'}."
    for name, item in metrics["baselines"].items():
        if item["timing"]:
            text += f" Hardware of {name}: {item['timing']['hardware'] or 'not recorded'}."
    return text


def _provenance(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        *provenance_rows(metrics),
        ("definitions of the metrics", f"version {metrics['definition_version']}"),
        ("fingerprint of the truth", metrics["data_fingerprint"]),
        ("seed of the bootstrap", str(metrics["provenance"]["seed"])),
    ]
    return rows + [(f"baseline {name}", item["provenance"]["results"]) for name, item in metrics["baselines"].items()]
