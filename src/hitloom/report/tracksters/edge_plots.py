"""Plots of the scored edges of a linking, from the entry ``edges`` of the metrics; made at its working point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hitloom.report.plot import Plot
from hitloom.report.tracksters.figures import (
    confusion_figure,
    panels_figure,
    reliability_figure,
    roc_figure,
    score_figure,
    threshold_figure,
)
from hitloom.report.tracksters.sample_figures import by_bin_figure
from hitloom.report.tracksters.tables import PAIRS, bin_name

BY_BIN = ("f1", "precision", "recall", "accuracy")


def edge_plots(metrics: Mapping[str, Any]) -> list[Plot]:
    """Return the plots that the metrics allow; none without scores."""
    edges = metrics["edges"]
    if edges is None:
        return []
    facts = (
        ("true", metrics["choices"]["edges"]["true"]),
        ("working point", f"{edges['working_point']['text']} ({edges['working_point']['source']})"),
        ("sample", f"{metrics['decided_edges']['num_edges']:,} candidate edges, truth {metrics['truth']}"),
    )
    weight = ("weight", metrics["choices"]["edges"]["weight"])
    return [
        *_thresholds(edges, facts, weight),
        *_scores(edges, facts, weight),
        _confusion(metrics, facts, weight),
        _reliability(edges, facts, weight),
        *_by_energy(metrics, facts, weight),
    ]


Facts = tuple[tuple[str, str], ...]
Fact = tuple[str, str]


def _thresholds(edges: Mapping[str, Any], facts: Facts, weight: Fact) -> Iterator[Plot]:
    cuts = edges["working_point"]["cuts"]
    best = edges["scan"]["best"]
    for kind in ("weighted", "plain"):
        words = "weighted by energy" if kind == "weighted" else "every edge counted once"
        yield Plot(
            name="edge_thresholds" if kind == "weighted" else "edge_thresholds_plain",
            title=f"Cut on the probability, {words}",
            lead="Accuracy, precision, recall and F1 of the decision on candidate edges, by one cut for all energies.",
            facts=(
                ("dotted", "cuts of the working point"),
                ("best", f"{best['threshold']:g}, F1 {best['f1']:.3f} weighted by energy"),
                *((weight,) if kind == "weighted" else ()),
                *facts,
            ),
            draw=lambda kind=kind: threshold_figure(edges["scan"][kind], cuts),  # type: ignore[misc]
        )
    yield Plot(
        name="edge_roc",
        title="ROC of the edges",
        lead="True edges that are kept against false edges that are kept, at every cut; areas in the legend.",
        facts=(("classes", "pairs that hold true and false edges; 'unweighted' counts each edge once"), weight, *facts),
        draw=lambda: roc_figure({PAIRS.get(name, name): curve for name, curve in edges["roc"].items()}),
    )


def _scores(edges: Mapping[str, Any], facts: Facts, weight: Fact) -> Iterator[Plot]:
    found = edges["histograms"]
    drawn = (
        ("score", "Scores of true and of false edges", "edges per bin", False),
        ("score", "Scores of true and of false edges", "edges per bin", True),
        ("score_weighted", "Scores weighted by energy", "GeV per bin", True),
        ("target", "Targets and scores of all edges", "edges per bin", False),
        ("target", "Targets and scores of all edges", "edges per bin", True),
    )
    for key, title, y_label, log in drawn:
        yield Plot(
            name=f"edge_{key}{'_log' if log else ''}",
            title=title + (", logarithmic" if log else ""),
            lead="The target is the soft label: 0 for a wrong pair, else how well both ends match their object."
            if key == "target"
            else "Probability that the network gives an edge, by what the edge is; in brackets the sum.",
            facts=(*((weight,) if "weighted" in key else ()), *facts),
            draw=lambda key=key, y_label=y_label, log=log: score_figure(  # type: ignore[misc]
                found["edges"],
                found[key],
                log=log,
                x_label="target or probability" if key == "target" else "probability",
                y_label=y_label,
            ),
        )


def _confusion(metrics: Mapping[str, Any], facts: Facts, weight: Fact) -> Plot:
    table = metrics["decided_edges"]["classes"]["all"]
    return Plot(
        name="edge_confusion",
        title="Confusion at the working point",
        lead="Rows: what an edge is. Columns: what was decided. Percentages are of the row.",
        facts=(weight, *facts),
        draw=lambda: confusion_figure({"edges": table["plain"], "GeV": table["weighted"]}),
    )


def _reliability(edges: Mapping[str, Any], facts: Facts, weight: Fact) -> Plot:
    found = edges["reliability"]
    error = found["calibration_error"]
    return Plot(
        name="edge_reliability",
        title="Reliability of the probabilities",
        lead="What came true among edges of similar probability; on the diagonal a probability means what it says.",
        facts=(
            ("calibration error", "undefined" if error is None else f"{error:.4f}, mean |probability - target|"),
            weight,
            *facts,
        ),
        draw=lambda: reliability_figure(found),
    )


def _by_energy(metrics: Mapping[str, Any], facts: Facts, weight: Fact) -> Iterator[Plot]:
    bins = [item for item in metrics["edges"]["by_energy"] if item["num_edges"]]
    tables = [item for item in metrics["decided_edges"]["energy_bins"] if item["num_edges"]]
    if not bins:
        return
    names = [bin_name(item) for item in bins]
    yield Plot(
        name="edge_by_energy",
        title="Decision on edges, by energy",
        lead="Rates at the working point in bins of the larger raw energy of the two ends.",
        facts=(weight, *facts),
        draw=lambda: by_bin_figure(
            [name.replace(" to ", "\nto ") for name in names],
            {rate: [table["weighted"][rate] for table in tables] for rate in BY_BIN},
        ),
    )
    yield Plot(
        name="edge_roc_by_energy",
        title="ROC of the edges, by energy",
        lead="One curve a bin of the larger raw energy of the two ends; areas in the legend.",
        facts=(weight, *facts),
        draw=lambda: roc_figure({name: item["roc"] for name, item in zip(names, bins, strict=True)}),
    )
    for log in (False, True):
        yield Plot(
            name="edge_scores_by_energy" + ("_log" if log else ""),
            title="Scores by energy" + (", logarithmic" if log else ""),
            lead="Scores of true and of false edges in bins of the larger raw energy of the two ends.",
            facts=facts,
            draw=lambda log=log: panels_figure(  # type: ignore[misc]
                [
                    (name, item["histograms"]["edges"], item["histograms"]["score"])
                    for name, item in zip(names, bins, strict=True)
                ],
                num_columns=3,
                log=log,
            ),
        )
