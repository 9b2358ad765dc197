"""Interactive display of pruned tracksters: one at a time, before and after pruning side by side in 3D.

Each trace says in ``meta`` which trackster it is of and what it shows; the buttons of the page show and hide by these.
Shape letters: N layer clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.report.page import panel_page, raw, script_json, template_text
from hitloom.report.palette import GREY, SERIES
from hitloom.report.pruning.figures import COLOURS
from hitloom.report.pruning.view import KINDS, PruningView

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCENES = {"before": "before pruning: truth", "after": "after pruning: decisions"}
DATA_ID = "pruning-display-data"
TRUTH = {"TN": "belongs to the trackster", "FN": "does not belong"}


def pruning_figure(views: Sequence[PruningView]) -> go.Figure:
    """Return two pictures side by side with the traces of every trackster, axes in cm, the beam level."""
    import plotly.graph_objects as go

    axis = {"showbackground": False, "showgrid": True, "gridcolor": "rgba(140,153,166,0.25)", "zeroline": False,
            "showspikes": False, "color": GREY, "nticks": 5, "tickfont": {"size": 9}}  # fmt: skip
    layout: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 12},
        "margin": {"l": 0, "r": 0, "t": 30, "b": 0},
        "showlegend": False,
        "hoverlabel": {"align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": SERIES[0], "orientation": "v"},
        "height": 520,
        "annotations": [
            {"text": text, "x": 0.25 + 0.5 * place, "y": 1.0, "xref": "paper", "yref": "paper", "showarrow": False,
             "xanchor": "center", "yanchor": "bottom", "font": {"size": 13}}
            for place, text in enumerate(SCENES.values())
        ],
    }  # fmt: skip
    for place, scene in enumerate(("scene", "scene2")):
        layout[scene] = {
            "xaxis": {"title": {"text": "z [cm]"}, **axis},
            "yaxis": {"title": {"text": "x [cm]"}, **axis},
            "zaxis": {"title": {"text": "y [cm]"}, **axis},
            "aspectmode": "manual",
            "aspectratio": {"x": 1.7, "y": 1.0, "z": 1.0},
            "camera": {"eye": {"x": -0.95, "y": -1.95, "z": 0.65}},
            "dragmode": "orbit",
            "domain": {"x": [0.5 * place, 0.5 * place + 0.495], "y": [0, 1]},
        }
    figure = go.Figure([trace for place, view in enumerate(views) for trace in _traces(go, view, place)])
    figure.update_layout(**layout)
    return figure


def _traces(go: Any, view: PruningView, place: int) -> Iterator[Any]:
    kind = np.array(view.kind())
    truth = np.where(np.isin(kind, ["TN", "FP"]), "TN", "FN")
    for scene, group in (("before", truth if view.to_prune is not None else np.full(len(kind), "TN")), ("after", kind)):
        kept = ~view.pruned if scene == "after" else np.ones(len(kind), dtype=bool)
        links = view.links[:, kept[view.links].all(0)]
        if links.size:
            ends = view.position[links.T]
            line = np.concatenate([ends, np.full((len(ends), 1, 3), np.nan)], axis=1).reshape(-1, 3)
            yield go.Scatter3d(
                **_coordinates(line), mode="lines", line={"color": GREY, "width": 2}, opacity=0.6, hoverinfo="skip",
                connectgaps=False, scene=_scene(scene), meta={"trackster": place, "layer": "links"},
            )  # fmt: skip
        for name in COLOURS:
            rows = np.flatnonzero(group == name)
            if not rows.size:
                continue
            gone = scene == "after" and name in ("TP", "FP")
            yield go.Scatter3d(
                **_coordinates(view.position[rows]),
                mode="markers",
                marker={
                    "color": COLOURS[name],
                    "symbol": "circle-open" if gone else "circle",
                    "size": np.round(np.sqrt(20 + 10 * view.energy[rows]).clip(max=26), 1),
                    "line": {"width": 0},
                    "opacity": 0.75 if gone else 0.92,
                },
                text=_texts(view, rows, kind),
                hoverinfo="text",
                scene=_scene(scene),
                meta={"trackster": place, "layer": "points" if scene == "before" else name},
            )


def _scene(name: str) -> str:
    return "scene" if name == "before" else "scene2"


def _coordinates(points: Any) -> dict[str, Any]:
    return dict(zip("yzx", np.asarray(points / 10, dtype=np.float32).T, strict=True))


def _texts(view: PruningView, rows: Any, kind: Any) -> list[str]:
    texts = []
    for row in rows.tolist():
        what = KINDS[str(kind[row])] if view.to_prune is not None else ("pruned" if view.pruned[row] else "kept")
        chance = "" if view.probability is None else f"<br>P(prune) = {view.probability[row]:.3f}"
        texts.append(f"layer {view.layer[row]}, {view.energy[row]:.3g} GeV<br>{what}{chance}")
    return texts


def pruning_panel(views: Sequence[PruningView]) -> dict[str, Any]:
    """Return what ``pruning_panel.html`` and its script need."""
    kinds = KINDS if views[0].to_prune is not None else {"TN": "kept", "TP": "pruned"}
    return {
        "display": {
            "tracksters": [
                {"name": f"{view.event_id}" + (f", {view.why}" if view.why else ""), "text": view.text()}
                for view in views
            ],
            "kinds": [(name, text, COLOURS[name], name in ("TP", "FP")) for name, text in kinds.items()],
            "truth": [(text, COLOURS[name]) for name, text in TRUTH.items()] if views[0].to_prune is not None else [],
            "counts": views[0].text(),
            "caption": (
                "Each point is a layer cluster of area 20 + 10 E with E in GeV, up to a limit. Left: the trackster "
                "as CLUE3D made it, coloured by truth. Right: the same after the decisions; open markers are pruned. "
                "Lines are the links of CLUE3D, on the right those between kept layer clusters. Drag to turn both, "
                "scroll to zoom, hover for energies and probabilities."
            ),
        },
        "figures": script_json(str(pruning_figure(views).to_json())),
        "script": raw(template_text("pruning_display.js")),
        "data_id": DATA_ID,
    }


def pruning_page(views: Sequence[PruningView]) -> str:
    """Return the display of tracksters as a page of its own."""
    return panel_page(
        f"Trackster {views[0].event_id} before and after pruning", "pruning_panel.html", pruning_panel(views)
    )
