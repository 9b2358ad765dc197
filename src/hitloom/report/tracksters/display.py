"""Interactive display of tracksters: one event three times in 3D, coloured before linking, after linking, by truth.

Each trace says in ``meta`` which picture (mode), layer and endcap it is of; the buttons of the page show and hide by
these. Shape letters: N tracksters, P points, L links.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.outline import Floats, Ints, outline_3d
from hitloom.report.page import panel_page, raw, script_json, template_text
from hitloom.report.palette import GREY, SERIES, candidate_colour
from hitloom.report.tracksters.view import MODES, TracksterView, limited

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_POINTS = 15_000
"""Layer clusters that a browser still turns smoothly, three times."""

LAYERS = {
    "clusters": "layer clusters",
    "loose": "in no trackster or of no object",
    "links": "links",
    "outline": "layers",
}
ENERGY_STEPS = (0.05, 0.5)
"""Thresholds of the energy filter, GeV."""


def trackster_figure(view: TracksterView) -> go.Figure:
    """Return three pictures of the event side by side, axes in mm, the beam level."""
    import plotly.graph_objects as go

    scenes = {mode: "scene" if number == 0 else f"scene{number + 1}" for number, mode in enumerate(MODES)}
    traces: list[Any] = []
    for mode, scene in scenes.items():
        traces += [trace.update(scene=scene) for trace in _traces(view, mode)]
    axis = {"showbackground": False, "showgrid": False, "zeroline": False, "showspikes": False, "color": GREY}
    axis |= {"nticks": 4, "tickfont": {"size": 9}}
    width = 1 / len(MODES)
    layout: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 12},
        "margin": {"l": 0, "r": 0, "t": 30, "b": 0},
        "showlegend": False,
        "hoverlabel": {"align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": SERIES[0], "orientation": "v"},
        "height": 560,
        "annotations": [
            {"text": text, "x": (number + 0.5) * width, "y": 1.0, "xref": "paper", "yref": "paper", "showarrow": False,
             "xanchor": "center", "yanchor": "bottom", "font": {"size": 13}, "name": mode}
            for number, (mode, text) in enumerate(MODES.items())
        ],
    }  # fmt: skip
    for number, scene in enumerate(scenes.values()):
        layout[scene] = {
            "xaxis": {"title": {"text": "z [mm]"}, **axis},
            "yaxis": {"title": {"text": "x [mm]"}, **axis},
            "zaxis": {"title": {"text": "y [mm]"}, **axis},
            "aspectmode": "data",
            "camera": {"eye": {"x": -1.4, "y": -1.5, "z": 0.6}},
            "dragmode": "orbit",
            "domain": {"x": [number * width, (number + 1) * width - 0.005], "y": [0, 1]},
        }
    figure = go.Figure(traces)
    figure.update_layout(**layout)
    return figure


def _traces(view: TracksterView, mode: str) -> Iterator[Any]:
    import plotly.graph_objects as go

    for side in (-1, 1):
        outline = outline_3d([item for item in view.surfaces if np.sign(item.z_min) == side])
        if len(outline):
            yield _lines(go, outline, mode, "outline", side, {"color": "#9aa8b7", "width": 1}, 0.4)
        here = np.where(view.position[:, 2] < 0, -1, 1) == side
        owner = view.owner(mode)
        steps = np.sum([view.energy > step for step in ENERGY_STEPS], axis=0)
        for step in np.unique(steps[here]):
            for layer, chosen in (("loose", owner < 0), ("clusters", owner >= 0)):
                rows = np.flatnonzero(here & chosen & (steps == step))
                if rows.size:
                    yield _points(go, view, mode, layer, side, int(step), rows)
        joined = view.links[:, view.barycentre[view.links[0], 2] * side > 0] if view.links.size else view.links
        if mode == "after" and joined.size:
            ends = view.barycentre[joined.T]
            line = np.concatenate([ends, np.full((len(ends), 1, 3), np.nan)], axis=1).reshape(-1, 3)
            yield _lines(go, line, mode, "links", side, {"color": GREY, "width": 3}, 0.75)


def _coordinates(points: Floats) -> dict[str, Any]:
    return dict(zip("yzx", np.asarray(points, dtype=np.float32).T, strict=True))


def _lines(go: Any, points: Floats, mode: str, layer: str, side: int, line: dict[str, Any], opacity: float) -> Any:
    return go.Scatter3d(
        **_coordinates(points),
        mode="lines",
        line=line,
        opacity=opacity,
        hoverinfo="skip",
        connectgaps=False,
        name=LAYERS[layer],
        meta={"mode": mode, "layer": layer, "side": side, "step": len(ENERGY_STEPS)},
    )


def _points(go: Any, view: TracksterView, mode: str, layer: str, side: int, step: int, rows: Ints) -> Any:
    owner, energy = view.owner(mode)[rows], view.energy[rows]
    colours = [candidate_colour(int(number)) for number in view.colour[mode]]
    return go.Scatter3d(
        **_coordinates(view.position[rows]),
        mode="markers",
        marker={
            "color": GREY if layer == "loose" else [colours[number] for number in owner.tolist()],
            "size": np.round(np.clip(1.8 + 2.2 * np.log10(1 + energy / 0.05), 1.6, 9.0), 1),
            "line": {"width": 0},
            "opacity": 0.45 if layer == "loose" else 0.9,
        },
        text=_texts(view, mode, rows),
        hoverinfo="text",
        name=LAYERS[layer],
        meta={"mode": mode, "layer": layer, "side": side, "step": step},
    )


def _texts(view: TracksterView, mode: str, rows: Ints) -> list[str]:
    """Return what stands beside the pointer: the layer cluster, and what it belongs to in this picture."""
    names = {
        "before": [f"trackster {number}: {energy:.3g} GeV" for number, energy in enumerate(view.trackster_energy)],
        "after": [
            f"candidate {number}: {energy:.3g} GeV in {count} tracksters"
            for number, (energy, count) in enumerate(zip(view.candidate_energy, view.candidate_tracksters, strict=True))
        ],
        "truth": [
            f"object {number} (pdg {pdg}{'' if signal else ', pile-up'}): {energy:.3g} GeV here"
            for number, (pdg, signal, energy) in enumerate(
                zip(view.object_pdg, view.object_is_signal, view.object_energy, strict=True)
            )
        ],
    }[mode]
    names.append({"before": "in no trackster", "after": "in no candidate", "truth": "of no object"}[mode])
    return [
        f"layer {view.layer[row]}, {view.energy[row]:.3g} GeV<br>{names[view.owner(mode)[row]]}"
        for row in rows.tolist()
    ]


def trackster_panel(view: TracksterView, *, max_points: int = MAX_POINTS) -> dict[str, Any]:
    """Return what ``trackster_panel.html`` and its script need."""
    small = limited(view, max_points)
    sides = np.bincount((view.position[:, 2] > 0).astype(int), view.energy, minlength=2)
    shown = [side for side, energy in zip((-1, 1), sides, strict=True) if energy > 0]
    return {
        "display": {
            "event_id": view.event_id,
            "modes": MODES,
            "layers": LAYERS,
            "hidden": ("loose",),
            "steps": [f"{step:g}" for step in ENERGY_STEPS],
            "sides": {"0": "both endcaps", "1": "forward (z > 0)", "-1": "backward (z < 0)"} if len(shown) > 1 else {},
            "first_side": "1" if sides[1] >= sides[0] else "-1",
            "counts": _counts(view),
            "caption": (
                "Each point is a layer cluster, larger with its energy. A colour is one trackster, one candidate or "
                "one true object. The trackster and the candidate that hold most of an object have its colour, so "
                "a second colour inside one object is a piece that was not linked, and one colour over two objects is "
                "a wrong merge. A layer cluster that several share is drawn for the largest share. Links join the "
                "barycentres of tracksters that one candidate and a candidate edge join. Rings outline every eighth "
                "layer where it was hit. Drag to turn all three, scroll to zoom, hover for energies."
            ),
            "notes": small.notes,
        },
        "figures": script_json(str(trackster_figure(small).to_json())),
        "script": raw(template_text("trackster_display.js")),
    }


def _counts(view: TracksterView) -> str:
    signal = int(view.object_is_signal.sum())
    pileup = len(view.object_pdg) - signal
    return (
        f"{len(view.energy):,} layer clusters, {len(view.trackster_energy):,} tracksters before linking, "
        f"{len(view.candidate_energy):,} after, {signal:,} signal objects"
        + (f" and {pileup:,} of pile-up" if pileup else "")
        + (f"; source: {view.source}" if view.source else "")
    )


def trackster_page(view: TracksterView, *, max_points: int = MAX_POINTS) -> str:
    """Return the display of one event as a page of its own."""
    values = trackster_panel(view, max_points=max_points) | {"data_id": "trackster-display-data"}
    return panel_page(f"Event {view.event_id}", "trackster_panel.html", values)
