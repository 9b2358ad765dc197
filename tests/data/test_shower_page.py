"""The page on files of 2D clusters: its example runs and prints what stands there, its presets and options are so."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from hitloom.cli.main import build_app
from hitloom.data.shower_branches import CLUSTER_COLUMNS, HIT_COLUMNS, PITCH_COLUMNS, TRUTH_COLUMNS
from hitloom.data.shower_columns import PRESETS, column
from hitloom.data.shower_write import write_pandora
from shower_toy import toy_view

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "shower_files.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    write_pandora([toy_view(10, view=view) for view in (4, 5, 6)], tmp_path / "clusters.root")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "docs/shower_files.md", "exec"), {})
    assert capsys.readouterr().out.strip() == re.search(r"^print.*# (.*)$", PAGE, re.M)[1]


def test_presets_and_columns_are_those_of_the_code():
    rows = dict(re.findall(r"^\| (\d+) \| `([^`]*)` \|$", PAGE, re.M))
    assert {int(number): tuple(names.split()) for number, names in rows.items()} == PRESETS
    table = PAGE.split("## Columns of hits")[1].split("Logarithms are taken")[0]
    read_as = {}
    for names, how in re.findall(r"^\| (`[^|]*) \|.*\| ([^|]*) \|$", table, re.M):
        read_as |= dict.fromkeys(re.findall(r"`(\w+)`", names), how)
    assert {name for preset in PRESETS.values() for name in preset} <= set(read_as)
    for name, how in read_as.items():
        one = column(name)
        wanted = "logarithm" if one.log else f"times `{one.scale}`" if one.scale else "as it is"
        assert how == wanted, name


def test_branches_and_options_on_the_page_exist():
    words = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {*CLUSTER_COLUMNS, *HIT_COLUMNS, *TRUTH_COLUMNS, *PITCH_COLUMNS} <= words
    verbs = ("convert", "split")
    helps = "".join(
        CliRunner().invoke(build_app(), ["data", verb, "--help"], env={"COLUMNS": "200"}).output for verb in verbs
    )
    for option in set(re.findall(r"(--[a-z][a-z-]+)", PAGE)):
        assert option in helps, option
