"""What a plot of the report is, and what all plots say of the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitloom.report.config import EvaluationConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERVAL = ("bars", "Clopper-Pearson, 68 %, tracks taken as independent")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot of the report.

    Attributes
    ----------
    name : str
        ``plots/<name>.png``.
    title, lead : str
        Heading, and what is drawn in one sentence.
    facts : tuple of (name, text)
        Sample, cuts, matching, interval: what the numbers depend on.
    draw : callable
    """

    name: str
    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    draw: Callable[[], Figure]


def sample_text(metrics: Mapping[str, Any]) -> str:
    """Return the sample in words: number of events, which hits."""
    number = metrics["num_events"]
    truth = "; truth-selected input" if metrics["choices"]["truth_selected_input"] else ""
    return f"{number:,} event{'' if number == 1 else 's'}, {metrics['choices']['hit_selection']}{truth}"


def scaled_axis(edges: list[float], unit: str, config: EvaluationConfig) -> tuple[list[float], str]:
    """Return edges and unit as the configuration wants pt drawn."""
    if unit == "GeV" and config.pt_unit == "MeV":
        return [1000.0 * edge for edge in edges], "MeV"
    return list(edges), unit
