"""The Python of docs/data.md runs as it stands, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

from data_toy import detectors_text, toy_event

from hitloom.data.store import EventStore, EventWriter
from hitloom.data.trackml_write import write_trackml

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    events = [toy_event(number) for number in range(6)]
    with EventWriter(tmp_path / "events", provenance={}) as writer:
        for event in events:
            writer.write(event)
    write_trackml(events, tmp_path / "trackml")
    (tmp_path / "trackml" / "detectors.csv").write_text(detectors_text())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(EventStore("copy")) == 6
    assert names["unit"] == b"GeV"
    assert "object_id" not in names["short"]
    assert 0 < names["fast"].num_points < names["event"].num_points
