"""Interactive event display: a plotly figure of hits, found tracks and true particles in 3D, in x-y and in r-z.

Every trace says in ``meta`` to which layer and pt class it belongs; the buttons of the figure and of the HTML page
show and hide by these two. Shape letters: N points, L points of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hitloom.report.outline import Floats, Ints, outline_3d, outline_rz, outline_xy, polylines
from hitloom.report.palette import GREY, SERIES, STATUS, candidate_colour
from hitloom.report.view import ALWAYS, PT_STEPS, EventView

if TYPE_CHECKING:
    import plotly.graph_objects as go

LAYERS = {
    "hits": "hits on tracks",
    "unassigned": "hits without a track",
    "found": "found tracks",
    "truth": "true tracks",
    "detector": "detector",
}
"""Layers that can be shown and hidden, with their names."""

HIDDEN_AT_FIRST = ("truth",)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Points of one trace before it is projected: a layer, a status, a pt class."""

    layer: str
    status: str
    pt_class: int
    name: str
    points: Floats
    text: NDArray | None
    colour: str | list[str]
    is_line: bool


def figure_3d(view: EventView) -> go.Figure:
    """Return the 3D display, axes in mm, with buttons for the pt threshold; layers toggle in the legend."""
    import plotly.graph_objects as go

    # The beam axis lies level on the screen and y points up: plotly's x is z, its y is x, its z is y.
    traces = [_trace(go.Scatter3d, part, dict(zip("yzx", part.points.T, strict=True))) for part in _parts(view)]
    outline = outline_3d(list(view.surfaces))
    if len(outline):
        traces.append(_detector(go.Scatter3d, dict(zip("yzx", outline.T, strict=True)), scene=True))
    axis = {"showbackground": False, "showgrid": False, "zeroline": False, "showspikes": False, "color": GREY}
    figure = go.Figure(traces)
    figure.update_layout(
        **_layout(traces),
        scene={
            "xaxis": {"title": {"text": "z [mm]"}, **axis},
            "yaxis": {"title": {"text": "x [mm]"}, **axis},
            "zaxis": {"title": {"text": "y [mm]"}, **axis},
            "aspectmode": "data",
            "camera": {"eye": _eye(view.position), "center": {"x": 0, "y": 0, "z": -0.06}},
            "dragmode": "orbit",
        },
    )
    return figure


def _eye(position: Floats) -> dict[str, float]:
    """Return where to look from, farther from a longer detector: plotly scales axes by their geometric mean."""
    spans = np.ptp(position, axis=0).clip(min=1.0) if len(position) else np.ones(3)
    stretch = max(1.0, float(spans.max() / np.prod(spans) ** (1 / 3)) / 1.65)
    return {"x": 0.6 * stretch, "y": -1.35 * stretch, "z": 0.5 * stretch}


def figure_2d(view: EventView, *, hover: bool = True) -> go.Figure:
    """Return the two projections side by side: x-y along the beam, and r against z.

    Without ``hover`` the texts are left out: a page that has the 3D figure can take them from there, trace by trace.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=2, column_widths=[0.42, 0.58], horizontal_spacing=0.08)
    projections: list[tuple[int, Callable[[Floats], Floats], Floats]] = [
        (1, lambda p: p[:, :2], outline_xy(list(view.surfaces))),
        (2, lambda p: np.column_stack([p[:, 2], np.hypot(p[:, 0], p[:, 1])]), outline_rz(list(view.surfaces))),
    ]
    for column, project, outline in projections:
        if len(outline):
            figure.add_trace(_detector(go.Scattergl, dict(zip("xy", outline.T, strict=True))), 1, column)
        for part in _parts(view, hover=hover):
            trace = _trace(go.Scattergl, part, dict(zip("xy", project(part.points).T, strict=True)))
            trace.showlegend = trace.showlegend and column == 1
            figure.add_trace(trace, 1, column)
    figure.update_layout(**_layout(list(figure.data)))
    figure.update_xaxes(title_text="x [mm]", row=1, col=1)
    figure.update_yaxes(title_text="y [mm]", scaleanchor="x", constrain="domain", row=1, col=1)
    figure.update_xaxes(title_text="z [mm]", row=1, col=2)
    figure.update_yaxes(title_text="r [mm]", row=1, col=2)
    figure.update_xaxes(gridcolor="rgba(128,140,155,0.18)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(128,140,155,0.18)", zeroline=False)
    return figure


def _parts(view: EventView, *, hover: bool = True) -> Iterator[_Part]:
    """Yield lines below, hits above; one part a status and pt class, so that both can be switched."""
    text = _hit_text(view) if hover else None
    radius = np.linalg.norm(view.position, axis=1)
    vertex = np.concatenate([view.particle_vertex, np.zeros((1, 3))])
    from_vertex = np.linalg.norm(view.position - vertex[view.particle], axis=1)
    status = np.append(view.particle_status, "noise")[view.particle]
    own_class = np.where(view.particle >= 0, _particle_class(view)[view.particle], -1)
    yield from _lines(view, "truth", view.particle, from_vertex, status, own_class)
    found_status = np.append(view.track_status, "")[view.label]
    found_class = np.append(view.track_class(), -1)[view.label]
    yield from _lines(view, "found", view.label, radius, found_status, found_class)
    hit_class = view.hit_class()
    palette = np.array([*(candidate_colour(index) for index in range(len(view.track_name))), GREY])
    for layer, chosen in (("unassigned", view.label < 0), ("hits", view.label >= 0)):
        for pt in np.unique(hit_class[chosen]):
            rows = np.flatnonzero(chosen & (hit_class == pt))
            yield _Part(
                layer=layer,
                status=layer,
                pt_class=int(pt),
                name=LAYERS[layer],
                points=view.position[rows],
                text=None if text is None else text[rows],
                colour=GREY if layer == "unassigned" else palette[view.label[rows]].tolist(),
                is_line=False,
            )


def _lines(
    view: EventView,
    layer: str,
    group: Ints,
    distance: Floats,
    status: NDArray,
    pt: Ints,
) -> Iterator[_Part]:
    for name in [key for key in STATUS if key in set(status.tolist())]:
        for step in np.unique(pt[status == name]):
            chosen = (status == name) & (pt == step)
            points, _ = polylines(view.position, np.where(chosen, group, -1), distance)
            if len(points):
                yield _Part(
                    layer=layer,
                    status=name,
                    pt_class=int(step),
                    name=f"{LAYERS[layer]}: {name}",
                    points=points,
                    text=None,
                    colour=STATUS[name],
                    is_line=True,
                )


def _trace(kind: Any, part: _Part, coordinates: dict[str, Any]) -> Any:
    coordinates = {axis: np.asarray(values, dtype=np.float32) for axis, values in coordinates.items()}
    style: dict[str, Any]
    in_space = kind.__name__ == "Scatter3d"
    if part.is_line:
        width = 3 if in_space else 1.3
        style = {"mode": "lines", "line": {"color": part.colour, "width": width}}
        if part.layer == "truth" and in_space:
            style["line"]["dash"] = "dash"
        elif part.layer == "truth":
            style["line"]["dash"] = "dot"
    else:
        size = (2.6 if in_space else 4.5) if part.layer == "hits" else (1.8 if in_space else 3.2)
        style = {"mode": "markers", "marker": {"color": part.colour, "size": size, "line": {"width": 0}}}
        style["marker"]["opacity"] = 0.95 if part.layer == "hits" else 0.6
    return kind(
        **coordinates,
        **style,
        name=part.name,
        **({"hoverinfo": "skip"} if part.text is None else {"text": part.text.tolist(), "hoverinfo": "text"}),
        connectgaps=False,
        legendgroup=part.name,
        visible="legendonly" if part.layer in HIDDEN_AT_FIRST else True,
        meta={"layer": part.layer, "status": part.status, "pt": part.pt_class},
    )


def _detector(kind: Any, coordinates: dict[str, Any], *, scene: bool = False) -> Any:
    return kind(
        **{axis: np.asarray(values, dtype=np.float32) for axis, values in coordinates.items()},
        mode="lines",
        line={"color": "#9aa8b7", "width": 1.5 if scene else 0.8},
        opacity=0.4 if scene else 0.55,
        name=LAYERS["detector"],
        hoverinfo="skip",
        connectgaps=False,
        legendgroup="detector",
        showlegend=True,
        meta={"layer": "detector", "status": "detector", "pt": ALWAYS},
    )


def _layout(traces: list[Any]) -> dict[str, Any]:
    seen: set[str] = set()
    for trace in traces:
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)
    buttons = []
    for step in range(len(PT_STEPS) + 1):
        shown: list[bool | str] = []
        for trace in traces:
            hidden: bool | str = "legendonly" if trace.meta["layer"] in HIDDEN_AT_FIRST else True
            shown.append(hidden if trace.meta["pt"] >= step or not step else False)
        label = f"pt > {PT_STEPS[step - 1]:g} GeV" if step else "all pt"
        buttons.append({"label": label, "method": "restyle", "args": [{"visible": shown}]})
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "y": 1.08, "xanchor": "left"}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 12},
        "margin": {"l": 50, "r": 10, "t": 50, "b": 45},
        "legend": {"itemsizing": "constant", "bgcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": SERIES[0]},
        "uirevision": "keep",
        "height": 640,
        "updatemenus": [menu],
    }


def _particle_class(view: EventView) -> Ints:
    from hitloom.report.view import pt_class

    return np.append(pt_class(view.particle_pt), -1)


def _hit_text(view: EventView) -> NDArray:
    """Return (N,) hover texts: hit id, candidate with its fate, particle id, pt."""
    tracks = [
        f"candidate {int(name)} ({fate}, {int(hits)} hits, purity {share:.0%})"
        for name, fate, hits, share in zip(
            view.track_name, view.track_status, view.track_hits, view.track_purity, strict=True
        )
    ]
    tracks.append("no candidate")
    particles = [
        f"particle {int(number)} ({fate})<br>pt {pt:.3g} GeV, eta {eta:.2f}"
        for number, fate, pt, eta in zip(
            view.particle_id, view.particle_status, view.particle_pt, view.particle_eta, strict=True
        )
    ]
    particles.append("noise")
    return np.array(
        [
            f"hit {int(number)}<br>{tracks[label]}<br>{particles[row]}"
            for number, label, row in zip(view.hit_id, view.label, view.particle, strict=True)
        ],
        dtype=object,
    )
