"""The Python of docs/data.md and docs/module_map.md runs as it stands, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

from data_toy import detectors_text, toy_event

from hitloom.data.store import EventStore, EventWriter
from hitloom.data.trackml_write import write_trackml

DOCS = Path(__file__).resolve().parents[2] / "docs"


def run_page(name: str) -> dict[str, object]:
    """Run every Python block of a page, one after the other, and return the names they made."""
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    events = [toy_event(number) for number in range(6)]
    with EventWriter(tmp_path / "events", provenance={}) as writer:
        for event in events:
            writer.write(event)
    write_trackml(events, tmp_path / "trackml")
    (tmp_path / "trackml" / "detectors.csv").write_text(detectors_text())
    monkeypatch.chdir(tmp_path)
    names = run_page("data.md")
    assert len(EventStore("copy")) == 6
    assert names["unit"] == b"GeV"
    assert "object_id" not in names["short"]
    assert 0 < names["fast"].num_points < names["event"].num_points
    assert names["true"].all()
    assert names["targets"].signal.any()
    edges = run_page("module_map.md")["edges"]
    assert edges.shape[0] == 2
    assert edges.shape[1] > 0
