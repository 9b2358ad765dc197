"""Interactive display of wire views: one at a time, its partitions side by side, hits as rectangles.

Each trace says in ``meta`` which view it is of; the buttons of the page show and hide by it.
Shape letters: M hits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hitloom.metrics.shower_particles import name_of
from hitloom.report.page import panel_page, raw, script_json, template_text
from hitloom.report.palette import GREY, SERIES
from hitloom.report.showers.figures import colours_of
from hitloom.report.showers.view import PANELS, ShowerView

if TYPE_CHECKING:
    import plotly.graph_objects as go

DATA_ID = "shower-display-data"


def shower_figure(views: Sequence[ShowerView]) -> go.Figure:
    """Return the panels of every view, two a row, with one zoom for all."""
    import plotly.graph_objects as go

    panels = [name for name in PANELS if name in views[0].labels]
    num_rows = (len(panels) + 1) // 2
    axis = {"showgrid": True, "gridcolor": "rgba(140,153,166,0.25)", "zeroline": False, "color": GREY,
            "tickfont": {"size": 10}}  # fmt: skip
    layout: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": GREY, "size": 12},
        "margin": {"l": 55, "r": 10, "t": 30, "b": 45}, "showlegend": False, "hoverlabel": {"align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": SERIES[0]}, "dragmode": "pan",
        "height": 420 * num_rows, "hovermode": "closest", "annotations": [],
    }  # fmt: skip
    for place, name in enumerate(panels):
        row, column = divmod(place, 2)
        number = "" if not place else str(place + 1)
        x, y = [0.52 * column, 0.52 * column + 0.48], [1 - (row + 0.88) / num_rows, 1 - row / num_rows]
        layout[f"xaxis{number}"] = {**axis, "domain": x, "anchor": f"y{number}", "title": {"text": "drift x [cm]"}}
        layout[f"yaxis{number}"] = {**axis, "domain": y, "anchor": f"x{number}", "title": {"text": "wires z [cm]"}}
        if place:
            layout[f"xaxis{number}"]["matches"], layout[f"yaxis{number}"]["matches"] = "x", "y"
        layout["annotations"].append(
            {"text": PANELS[name], "x": x[0], "y": y[1], "xref": "paper", "yref": "paper", "showarrow": False,
             "xanchor": "left", "yanchor": "bottom", "font": {"size": 13}}
        )  # fmt: skip
    traces = [
        trace
        for number, view in enumerate(views)
        for place, name in enumerate(panels)
        if name in view.labels
        for trace in _traces(go, view, number, place, name)
    ]
    figure = go.Figure(traces)
    figure.update_layout(**layout)
    return figure


def _traces(go: Any, view: ShowerView, number: int, place: int, panel: str) -> Iterator[Any]:
    end = "" if not place else str(place + 1)
    common: dict[str, Any] = {"xaxis": f"x{end}", "yaxis": f"y{end}", "meta": {"view": number}}
    colours = np.array(colours_of(view, panel), dtype=object)
    for colour in dict.fromkeys(colours.tolist()):
        mine = colours == colour
        x, y = _boxes(view.position[mine], view.size[mine])
        yield go.Scatter(x=x, y=y, mode="lines", fill="toself", fillcolor=colour, hoverinfo="skip",
                         line={"color": colour, "width": 1.5}, **common)  # fmt: skip
    shower = view.is_shower()
    yield go.Scatter(
        x=_short(view.position[:, 0]), y=_short(view.position[:, 1]), mode="markers", text=_texts(view),
        hoverinfo="text", **common,
        marker={"color": colours.tolist(), "size": np.where(shower, 5, 3).tolist(), "line": {"width": 0},
                "symbol": np.where(shower, "triangle-up", "circle").tolist()},
    )  # fmt: skip
    yield go.Scatter(x=[0], y=[0], mode="markers", text=["vertex"], hoverinfo="text", **common,
                     marker={"color": GREY, "symbol": "cross-thin", "size": 13,
                             "line": {"width": 2, "color": GREY}})  # fmt: skip


def _short(values: Any) -> Any:
    return np.round(values, 2).tolist()


def _boxes(position: Any, size: Any) -> tuple[list[float | None], list[float | None]]:
    """Return outlines of rectangles, one after the other with gaps between."""
    low, high = position - size / 2, position + size / 2
    gap = np.full(len(position), np.nan)
    x = np.stack([low[:, 0], high[:, 0], high[:, 0], low[:, 0], low[:, 0], gap], axis=1).ravel()
    y = np.stack([low[:, 1], low[:, 1], high[:, 1], high[:, 1], low[:, 1], gap], axis=1).ravel()
    return tuple([None if np.isnan(value) else round(float(value), 2) for value in side] for side in (x, y))  # type: ignore[return-value]


def _texts(view: ShowerView) -> list[str]:
    """Return what each hit says under the pointer."""
    texts = []
    truth, target = view.labels.get("true"), view.labels.get("target")
    for row, cluster in enumerate(view.cluster.tolist()):
        lines = [f"{view.energy[row]:.2f} MIP", f"cluster {cluster}, group {view.labels['predicted'][row]}"]
        if truth is not None:
            owner = int(truth[row])
            lines.append("no true particle" if owner < 0 else f"particle {owner}: {name_of(int(view.pdg[owner]))}")
        if target is not None:
            lines.append(f"target group {target[row]}")
        texts.append("<br>".join(lines))
    return texts


def shower_panel(views: Sequence[ShowerView]) -> dict[str, Any]:
    """Return what ``shower_panel.html`` and its script need."""
    items = []
    for view in views:
        (left, right), (bottom, top) = view.limits()
        items.append(
            {
                "name": f"{view.slice} {view.view}" + (f", {view.why}" if view.why else ""),
                "text": view.text(),
                "range": f"{left:.1f},{right:.1f},{bottom:.1f},{top:.1f}",
            }
        )
    return {
        "display": {
            "views": items,
            "counts": views[0].text(),
            "caption": (
                "Each hit is a rectangle: its width along the drift direction, one pitch along the wires; triangles "
                "are hits of electrons, positrons and photons. The cross is the vertex. The largest group of a "
                "particle has the particle's colour; grey hits have no true particle. Drag to move, scroll to zoom, "
                "double-click to see all, hover for cluster, group and particle."
            ),
        },
        "figures": script_json(str(shower_figure(views).to_json())),
        "script": raw(template_text("shower_display.js")),
        "data_id": DATA_ID,
    }


def shower_page(views: Sequence[ShowerView]) -> str:
    """Return the display of wire views as a page of its own."""
    return panel_page(f"Slice {views[0].slice}: clusters and groups", "shower_panel.html", shower_panel(views))
