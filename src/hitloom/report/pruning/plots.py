"""Every plot of a report of pruning from the metrics alone: file name, title, caption, and how to draw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hitloom.report.curve_plots import curve_figure, lines_figure
from hitloom.report.numbers import percent
from hitloom.report.page_parts import timing_plot
from hitloom.report.plot import Plot
from hitloom.report.pruning.collect import Shown
from hitloom.report.pruning.config import PruningEvaluationConfig
from hitloom.report.pruning.figures import trackster_figure
from hitloom.report.pruning.headline import SHORT
from hitloom.report.pruning.tables import drawn_members
from hitloom.report.summary_plots import histogram_figure

OWN_PLOTS = ("size_", "share_", "curve_", "scan_", "sample_", "configurations", "trackster_", "inference_time")
BY_SIZE = ("f1", "exact_match", "energy_retained", "energy_pruned", "purity_after")
Facts = tuple[tuple[str, str], ...]


def plots_of(metrics: Mapping[str, Any], shown: Shown, config: PruningEvaluationConfig) -> list[Plot]:
    """Return the plots that the metrics allow, in the order of the report; none where the settings want none."""
    if not config.plots:
        return []
    methods = drawn_members(metrics, config.max_drawn)
    return [
        *_tracksters(shown),
        *_by_size(metrics, methods),
        *_by_share(metrics, methods),
        *_probabilities(metrics, methods),
        *_scan(metrics),
        *_configurations(metrics),
        *_sample(metrics),
        *timing_plot(metrics, lead="Wall time of each stage of the inference of a trackster; points: layer clusters."),
    ]


def _facts(metrics: Mapping[str, Any], methods: Mapping[str, Any] | None = None) -> Facts:
    sample = metrics["headline"]["sample"]
    left = len(metrics["baselines"]) + 1 - len(methods or {})
    drawn = (("drawn", f"this result and the others of best F1; {left} more are in the tables"),) if left else ()
    return (
        ("sample", f"{sample['num_tracksters']:,} tracksters; {metrics['choices']['cuts']}"),
        ("decisions", "free-running"),
        *(drawn if methods else ()),
    )


def _tracksters(shown: Shown) -> Iterator[Plot]:
    for place, view in enumerate(shown.views, 1):
        yield Plot(
            name=f"trackster_{place}_{view.event_id}",
            title=f"Trackster {view.event_id}: {view.why}",
            lead=f"{view.text()}.",
            facts=(
                ("left", "before pruning, coloured by truth"),
                ("right", "after pruning: open markers are pruned; links between kept layer clusters"),
                ("markers", "area 20 + 10 E, E in GeV"),
            ),
            draw=lambda view=view: trackster_figure(view),  # type: ignore[misc]
        )


def _curve(bins: Sequence[Mapping[str, Any]], rate: str) -> dict[str, list[Any]]:
    entries = [item["rates"][rate] for item in bins]
    return {
        "value": [entry["value"] for entry in entries],
        "low": [(entry["interval"] or (entry["value"],))[0] for entry in entries],
        "high": [(entry["interval"] or (entry["value"],))[-1] for entry in entries],
        "denominator": [item["num_tracksters"] for item in bins],
    }


def _bars(metrics: Mapping[str, Any], rate: str) -> tuple[str, str]:
    text = "Clopper-Pearson, 68 %" if rate == "exact_match" else metrics["choices"]["interval"]
    return "bars", text


def _by_size(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Iterator[Plot]:
    bins = metrics["by_size"]
    last = max(max(metrics["per_event"]["num_points"]) + 1, bins[-1]["low"] + 1)
    edges = [*(item["low"] for item in bins), last]
    for rate in BY_SIZE:
        name = rate if rate in bins[0]["rates"] else f"label_{rate}"
        if name not in bins[0]["rates"]:
            continue
        curves = {method: _curve(item["by_size"], name) for method, item in methods.items()
                  if name in item["by_size"][0]["rates"]}  # fmt: skip
        yield Plot(
            name=f"size_{rate}",
            title=f"{SHORT[name][:1].upper()}{SHORT[name][1:]} against the size of the trackster",
            lead=f"{metrics['choices']['rates'][name]}.",
            facts=(_bars(metrics, rate), ("entries", "tracksters in the bin"), *_facts(metrics, methods)),
            draw=lambda curves=curves, name=name: curve_figure(  # type: ignore[misc]
                curves, edges, x_label="layer clusters of the trackster", y_label=SHORT[name], scale="even"
            ),
        )


def _by_share(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Iterator[Plot]:
    edges = [-5.0, *(100 * item["high"] for item in metrics["by_share"])]
    chosen = dict(list(methods.items())[:3])
    for rate in ("accuracy", "f1", "energy_pruned"):
        curves = {method: _curve(item["by_share"], rate) for method, item in chosen.items()}
        yield Plot(
            name=f"share_{rate}",
            title=f"{SHORT[rate][:1].upper()}{SHORT[rate][1:]} against what there is to prune",
            lead=f"{metrics['choices']['rates'][rate]}, by the share of a trackster's layer clusters to prune.",
            facts=(
                ("bins", "the first one (below 0) holds tracksters with nothing to prune, then steps of 5 %"),
                _bars(metrics, rate),
                *_facts(metrics),
            ),
            draw=lambda curves=curves, rate=rate: curve_figure(  # type: ignore[misc]
                curves, edges, x_label="layer clusters to prune [%]", y_label=SHORT[rate]
            ),
        )


def _probabilities(metrics: Mapping[str, Any], methods: Mapping[str, Any]) -> Iterator[Plot]:
    known = {name: item["probability"] for name, item in methods.items() if item["probability"]}
    if not known:
        return
    places = [place for place, name in enumerate(methods) if name in known]
    likely = [place for place, name in enumerate(methods) if "reliability" in known.get(name, {})]
    text = metrics["choices"]["probability"]
    facts = _facts(metrics, methods)

    def label(name: str, value: float | None) -> str:
        return name if value is None else f"{name}: {value:.4f}"

    roc = {
        label(name, item["auc"]["value"]): (item["roc"]["false_positive_rate"], item["roc"]["true_positive_rate"])
        for name, item in known.items()
    }
    yield Plot(
        name="curve_roc",
        title="ROC of layer clusters",
        lead="Share pruned of what should be pruned against share pruned of what should be kept, at every threshold.",
        facts=(("numbers", text["auc"]), *facts),
        draw=lambda: lines_figure(roc, x_label="pruned, of those to keep", y_label="pruned, of those to prune",
                                  diagonal=True, places=places),
    )  # fmt: skip
    pairs = {
        label(name, item["average_precision"]["value"]): (
            item["precision_recall"]["recall"], item["precision_recall"]["precision"])
        for name, item in known.items()
    }  # fmt: skip
    yield Plot(
        name="curve_precision_recall",
        title="Precision against recall",
        lead="Of what is pruned, the share that should be; of what should be pruned, the share that is.",
        facts=(("numbers", text["average_precision"]), *facts),
        draw=lambda: lines_figure(pairs, x_label="recall", y_label="precision", places=places),
    )
    reliable = {
        label(name, item["calibration_error"]["value"]): (
            item["reliability"]["mean_probability"], item["reliability"]["true_fraction"])
        for name, item in known.items() if "reliability" in item
    }  # fmt: skip
    yield Plot(
        name="curve_calibration",
        title="Reliability of P(prune)",
        lead="What came true among layer clusters of similar probability; on the diagonal a probability means what it "
        "says.",
        facts=(("numbers", text["calibration_error"]), *facts),
        draw=lambda: lines_figure(reliable, x_label="mean P(prune) in the bin", y_label="share to prune", diagonal=True,
                                  markers=True, places=likely),
    )  # fmt: skip


def _scan(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    scan = metrics["scan"]
    if scan is None:
        return
    best = "; ".join(f"{SHORT[name]} {item['value']:.3f} at {item['threshold']:g}"
                     for name, item in scan["best"].items())  # fmt: skip
    threshold = metrics["provenance"]["config"]["threshold"]
    rates = ("f1", "precision", "recall", "exact_match", "energy_retained", "energy_pruned")
    yield Plot(
        name="scan_threshold",
        title="Threshold on P(prune)",
        lead=f"Rates of {metrics['name']} if layer clusters were pruned above one probability, whatever was decided.",
        facts=(("best on this sample", best or "undefined"), *_facts(metrics)),
        draw=lambda: lines_figure(
            {SHORT[rate]: (scan["threshold"], scan[rate]) for rate in rates},
            x_label="threshold", y_label="rate", mark=None if threshold is None else (threshold, "working point"),
        ),
    )  # fmt: skip


def _configurations(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    found = metrics["samples"]
    if found is None:
        return
    ranks = list(range(1, 21))
    curves = {}
    for group, item in found["groups"].items():
        curves[f"accuracy, {group.replace('_', ' ')}"] = (ranks, [entry["value"] for entry in item["top_accuracy"]])
        curves[f"mass, {group.replace('_', ' ')}"] = (ranks, item["top_mass"])
    yield Plot(
        name="configurations",
        title="Whole configurations drawn from the model",
        lead=f"{found['definitions']['top_accuracy']} (accuracy), and {found['definitions']['top_mass']} (mass).",
        facts=(
            ("samples", f"{found['num_samples']} for each of {found['num_tracksters']:,} tracksters"),
            *_facts(metrics),
        ),
        draw=lambda: lines_figure(curves, x_label="k", y_label="share", markers=True),
    )


def _sample(metrics: Mapping[str, Any]) -> Iterator[Plot]:
    sample = metrics["sample"]
    size = sample["num_points"]["histogram"]
    facts = (("sample", f"{sample['num_tracksters']:,} tracksters, {percent(sample['share_to_prune'], 1000)} of their "
              "layer clusters to prune"),)  # fmt: skip
    yield Plot(
        name="sample_sizes",
        title="Size of the tracksters",
        lead="Layer clusters of a trackster.",
        facts=facts,
        draw=lambda: histogram_figure(
            {"tracksters": size}, [number - 0.5 for number in range(len(size) + 1)], x_label="layer clusters",
            y_label="share of tracksters",
        ),
    )  # fmt: skip
    share = sample["share_histogram"]
    yield Plot(
        name="sample_shares",
        title="What there is to prune",
        lead="Share of a trackster's layer clusters to prune; the first bin, below 0, holds those with none.",
        facts=facts,
        draw=lambda: histogram_figure(
            {"tracksters": share["num_tracksters"]}, [100 * edge for edge in share["edges"]],
            x_label="layer clusters to prune [%]", y_label="share of tracksters",
        ),
    )  # fmt: skip
    yield Plot(
        name="sample_energies",
        title="Energy of layer clusters",
        lead="Of those that should be kept and of those that should be pruned; each outline sums to 1.",
        facts=facts,
        draw=lambda: histogram_figure(
            sample["energy"], sample["energy_edges"], x_label="energy [GeV]", y_label="share of layer clusters",
            log_x=True,
        ),
    )  # fmt: skip
