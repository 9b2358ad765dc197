"""The event display as an HTML page of its own, and as the panel inside the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hitloom._version import __version__
from hitloom.event import Event
from hitloom.report.display import HIDDEN_AT_FIRST, LAYERS, figure_2d, figure_3d
from hitloom.report.page import POLICY, plotly_script, raw, render, script_json, template_text, write_text
from hitloom.report.palette import GREY, STATUS
from hitloom.report.view import PARTICLE_STATUS, PT_STEPS, TRACK_STATUS, EventView, limit
from hitloom.result import Result

MAX_HITS = 12_000
"""Hits that a browser still turns smoothly; larger events show what is above a pt threshold."""


def write_display(event: Event, result: Result, path: str | Path, *, max_hits: int = MAX_HITS) -> Path:
    """Write the interactive display of one event as a self-contained page.

    Raises
    ------
    DataError
        When event and result do not belong together, the event has no truth, or the file cannot be written.
    """
    from hitloom.report.classify import view_of

    view = view_of(event, result)
    text = display_page(view, max_hits=max_hits)
    write_text(Path(path), text)
    return Path(path)


def display_page(view: EventView, *, max_hits: int = MAX_HITS) -> str:
    """Return the page of one view as HTML."""
    return render(
        "display.html",
        {
            "title": f"Event {view.event_id}",
            "policy": POLICY,
            "style": raw(template_text("style.css")),
            "version": __version__,
            "plotly": plotly_script(),
            **panel_values(view, max_hits=max_hits),
        },
    )


def panel_values(view: EventView, *, max_hits: int = MAX_HITS) -> dict[str, Any]:
    """Return what ``panel.html`` and its script need: ``display``, ``figures``, ``script``."""
    small = limit(view, max_hits)
    figures = f'{{"space": {figure_3d(small).to_json()}, "plane": {figure_2d(small, hover=False).to_json()}}}'
    return {
        "display": {
            "layers": LAYERS,
            "hidden": HIDDEN_AT_FIRST,
            "pt_steps": [f"{step:g}" for step in PT_STEPS],
            "grey": GREY,
            "key": _key(view),
            "caption": (
                "Matching by double majority; targets are particles of any pt with at least 3 hits. Lines join the "
                "hits of a track in order of distance from the origin (true tracks: from their vertex); they are not "
                "fits. Tracks without a particle have no pt and stay at every threshold. The detector is outlined by "
                "the hits of this event. Drag to turn, scroll to zoom, hover over a hit for its ids."
            ),
            "notes": small.notes,
            "counts": _counts(view),
        },
        "figures": script_json(figures),
        "script": raw(template_text("display.js")),
    }


def _counts(view: EventView) -> str:
    noise = int((view.particle < 0).sum())
    return (
        f"{view.num_hits:,} hits ({noise:,} noise, {int((view.label < 0).sum()):,} without a track), "
        f"{len(view.track_name):,} found tracks, {len(view.particle_id):,} true particles"
        + (f"; source: {view.source}" if view.source else "")
    )


def _key(view: EventView) -> list[dict[str, Any]]:
    rows = []
    for kind, meanings, column in (
        ("track", TRACK_STATUS, view.track_status),
        ("particle", PARTICLE_STATUS, view.particle_status),
    ):
        for status, meaning in meanings.items():
            count = int(np.sum(column == status))
            if count:
                name = f"{kind} {status}" if status != "other" else "other particle"
                rows.append(
                    {
                        "name": name,
                        "meaning": meaning,
                        "colour": STATUS[status],
                        "count": f"{count:,}",
                        "dashed": kind == "particle",
                    }
                )
    return rows
