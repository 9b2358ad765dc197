"""The plots of a stability study, with what each depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hitloom.data.perturb import Perturbation
from hitloom.metrics.heat_points import HeatMap, HeatPoints
from hitloom.metrics.matched_overlap import CLASSES
from hitloom.report.plot import Plot
from hitloom.report.stability_figures import heat_figure, perturbation_figure
from hitloom.report.stability_run import StabilityRun, shifts_of_point

OWN_PLOTS = ("stability_",)
NUM_DRAWS = 2000
CLASS_NAMES = {"signal": "signal", "pileup": "pile-up"}
ETA_RANGE, PHI_RANGE = (1.5, 3.1), (-3.1, 3.1)
"""Range of the maps where all objects lie in it, as for an endcap; else that of the data."""


def stability_plots(
    run: StabilityRun,
    perturbation: Perturbation,
    *,
    num_cells: int = 200,
    edge_distance: float = 2.0,
    object_distance: float = 1.0,
    nodes: bool = False,
) -> Iterator[Plot]:
    """Yield all plots.

    Parameters
    ----------
    num_cells : int
        Cells of a map along each axis.
    edge_distance, object_distance : float
        Cells farther than this from every entry stay empty: cm, and in eta and phi.
    nodes : bool
        Draw the places of the entries over the maps of edges.
    """
    sample = _facts(run)
    if run.shown is not None and hasattr(perturbation, "kind") and perturbation.kind != "offset":
        yield _perturbation(run, perturbation)
    yield from _edge_maps(run, sample, num_cells, edge_distance, nodes)
    yield from _object_maps(run, sample, num_cells, object_distance)


def _facts(run: StabilityRun) -> tuple[tuple[str, str], ...]:
    settings = run.settings["perturbation"]
    said = ", ".join(f"{key} {value}" for key, value in settings.items() if key != "kind")
    return (
        ("perturbation", f"{settings['kind']} ({said}), seed {run.settings['seed']}"),
        ("sample", f"{len(run.studies[0].events):,} events"),
    )


def _perturbation(run: StabilityRun, perturbation: Perturbation) -> Plot:
    assert run.shown is not None
    event, row = run.shown

    def draw() -> Any:
        shifts = shifts_of_point(event, row, perturbation, NUM_DRAWS, seed=run.settings["seed"])
        return perturbation_figure(shifts, unit="mm")

    return Plot(
        name="stability_perturbation",
        title="What the perturbation does to one point",
        lead=f"{NUM_DRAWS:,} draws of the shift of point {row} of event {int(event.event_id)}: in space, and by pairs.",
        facts=_facts(run)[:1],
        draw=draw,
    )


def _edge_maps(
    run: StabilityRun, sample: tuple[tuple[str, str], ...], num_cells: int, distance: float, nodes: bool
) -> Iterator[Plot]:
    found = {
        model.name: study.maps.edges
        for model, study in zip(run.models, run.studies, strict=True)
        if study.threshold is not None
    }
    if not any(points.num_entries for points in found.values()):
        return
    ranges = _common(found)
    what = {
        "flip_rate": ("mean", "flip rate", "Flip rate of the edges, mean over those of a place"),
        "flips": ("sum", "flips", "Flip rates of the edges, summed over those of a place"),
        "shift": ("mean", "mean |p - p_k|", "Shift of the probability, mean over the edges of a place"),
    }
    rounding = ("place", f"middle of the edge, rounded to 0.1 cm; cells up to {distance:g} cm from one")
    for name, (mode, label, lead) in what.items():
        column = "shift" if name == "shift" else "flip_rate"

        def panels(mode: Any = mode, column: str = column) -> dict[str, HeatMap]:
            return _grids(found, column, mode, ranges, num_cells, distance)

        def draw(panels: Any = panels, label: str = label) -> Any:
            places = np.concatenate([points.places for points in found.values()]) if nodes else None
            return heat_figure(panels(), label=label, x="x [cm]", y="y [cm]", nodes=places)

        yield Plot(name=f"stability_edges_{name}", title=f"Edges: {label}", lead=f"{lead}.",
                   facts=(rounding, *sample, *_thresholds(run)), draw=draw)  # fmt: skip
        if len(found) == 2:

            def difference(panels: Any = panels, label: str = label) -> Any:
                (one, first), (other, second) = panels().items()
                panel = {f"{other} - {one}": second.minus(first)}
                return heat_figure(panel, label=label, x="x [cm]", y="y [cm]", signed=True)

            yield Plot(
                name=f"stability_edges_{name}_difference",
                title=f"Edges: {label}, difference of the models",
                lead="Second model less first, where both have edges near; red: the second is less stable.",
                facts=(rounding, *sample, *_thresholds(run)),
                draw=difference,
            )


def _object_maps(
    run: StabilityRun, sample: tuple[tuple[str, str], ...], num_cells: int, distance: float
) -> Iterator[Plot]:
    for kind in CLASSES:
        found = {model.name: study.maps.objects[kind] for model, study in zip(run.models, run.studies, strict=True)}
        if not any(points.num_entries for points in found.values()):
            continue
        ranges = _endcap(found)
        for name, what in (("dU", "missing"), ("dO", "foreign")):

            def draw(found: Any = found, name: str = name, ranges: Any = ranges) -> Any:
                grids = _grids(found, name, "mean", ranges, num_cells, distance)
                return heat_figure(grids, label=f"{name} as is - perturbed", x="|eta|", y="phi [rad]", signed=True)

            yield Plot(
                name=f"stability_{name}_{kind}",
                title=f"{name} of {CLASS_NAMES[kind]} objects, as is less perturbed",
                lead=f"Change of the {what} energy of an object, mean over samples; blue: more of it when perturbed.",
                facts=(
                    ("place", f"centre of the object, both endcaps; cells up to {distance:g} from one"),
                    ("weight", "energy in GeV, or points where they have no energy"),
                    *sample,
                ),
                draw=draw,
            )


def _grids(
    found: Mapping[str, HeatPoints], column: str, mode: Any, ranges: Any, num_cells: int, distance: float
) -> dict[str, HeatMap]:
    return {
        name: points.grid(
            column, mode=mode, num_cells=num_cells, x_range=ranges[0], y_range=ranges[1], max_distance=distance
        )
        for name, points in found.items()
    }


def _common(found: Mapping[str, HeatPoints]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return ranges of x and y that hold the places of all."""
    ends = np.array([points.extent() for points in found.values() if points.num_entries])
    low, high = ends[:, :, 0].min(axis=0), ends[:, :, 1].max(axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _endcap(found: Mapping[str, HeatPoints]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the range of an endcap where it holds all places, else that of the places; a full turn in phi."""
    eta = np.concatenate([points.places[:, 0] for points in found.values()])
    inside = bool((eta >= ETA_RANGE[0]).all() and (eta <= ETA_RANGE[1]).all())
    return ETA_RANGE if inside else _common(found)[0], PHI_RANGE


def _thresholds(run: StabilityRun) -> tuple[tuple[str, str], ...]:
    cuts = [f"{model.name}: {model.threshold:g}" for model in run.models if model.threshold is not None]
    return (("threshold", ", ".join(cuts)),)
