"""The page on files of tracksters: its examples run and print what stands there, its options and fields exist."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.data.pruning_files import read_pruning, write_pruning
from hitloom.data.pruning_layout import PRUNING_FEATURES
from hitloom.event import FIELDS
from pruning_toy import toy_trackster

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pruning_files.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    events = [toy_trackster(size, seed) for seed, size in enumerate((5, 3))]
    write_pruning(events, tmp_path / "tracksters.root")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(code, "docs/pruning_files.md", "exec"), names)
    wanted = [text.strip() for text in re.findall(r"^print.*#(.*)$", PAGE, re.M)[1:]]
    assert wanted == ["[0 0 1]", "[1 1 0]"]
    assert capsys.readouterr().out.splitlines() == ["2", *wanted]
    assert [event.event_id for event in read_pruning("copy.json")] == [0, 1]


def test_names_on_the_page_exist():
    words = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert set(PRUNING_FEATURES) <= words
    rows = re.findall(r"^\| ((?:`\w+`,? ?)+) \| ", PAGE.split("## Layouts")[0], re.M)
    fields = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {"point_y", "edge_index"} < fields
    assert fields - {"feature_names"} <= set(FIELDS)
    helps = "".join(
        CliRunner().invoke(build_app(), ["data", verb, "--help"], env={"COLUMNS": "200"}).output
        for verb in ("convert", "pruned", "inspect")
    )
    options = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--clock", "--threads"}
    assert len(options) > 8
    assert not [option for option in options if option not in helps]
