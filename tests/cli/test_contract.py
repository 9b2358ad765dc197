"""What every command promises: fast help, one line and exit code 2 for wrong input, a traceback for our own faults."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hitloom._version import __version__

VERBS = ["train", "infer", "eval", "compare", "export", "display", "info", "data tracks"]
VERBS += ["simulate tracker", "config show", "config check"]
HEAVY = ("torch", "numpy", "pydantic", "lightning", "torch_geometric", "yaml", "matplotlib", "acts", "pythia8mc")

PROBE = """
import resource, sys
from hitloom.cli.main import run
code = run({arguments!r})
usage = resource.getrusage(resource.RUSAGE_SELF)
print("\\nHEAVY", code, [name for name in {heavy!r} if name in sys.modules], usage.ru_utime + usage.ru_stime)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_and_version_import_nothing_heavy_and_take_well_under_a_second(arguments: list[str]):
    script = PROBE.format(arguments=arguments, heavy=HEAVY)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    last = answer.stdout.strip().splitlines()[-1]
    code, rest = last.removeprefix("HEAVY ").split(" ", 1)
    modules, seconds = rest.rsplit(" ", 1)
    # typer itself brings pydantic for the help of a verb
    assert (code, modules) in (("0", "[]"), ("0", "['pydantic']" if arguments[0] == "train" else "[]"))
    assert float(seconds) < 1.0
    assert answer.stderr == ""


def test_version(cli: Callable):
    assert cli("--version").out == f"hitloom {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(cli: Callable, verb: str):
    answer = cli(*verb.split(), "--help")
    assert answer.code == 0
    assert "Usage: hitloom" in answer.out


def test_nothing_asked_shows_the_help(cli: Callable):
    answer = cli()
    assert answer.code == 0
    assert "Usage: hitloom" in answer.out
    assert answer.err == ""


MISTAKES = [
    (["trian"], "No such command 'trian'"),
    (["train"], "Missing argument"),
    (["train", "recipe.yaml", "--colour", "red"], "No such option"),
    (["train", "no-such-recipe"], "no recipe and no file 'no-such-recipe'"),
    (["train", "eggnet-small"], "no event store is named"),
    (["train", "eggnet-small", "--set", "training.lrr=1"], "Did you mean 'lr'"),
    (["train", "eggnet-small", "--set", "nonsense"], "wanted key=value"),
    (["train", "eggnet-small", "missing"], "missing: no such event store"),
    (["train", "recipe.yaml", "store", "-c", "gone.ckpt"], "no checkpoint 'gone.ckpt'"),
    (["train", "recipe.yaml", "store", "--checkpoint-resume-dir", "gone"], "gone: no such folder"),
    (["train", "recipe.yaml", "store", "--load-only-model-parameters"], "needs a checkpoint"),
    (["train", "recipe.yaml", "store", "-o", "run"], "holds a run already"),
    (["train", "eggnet-small", "store", "-o", "other", "-c", "run"], "checkpoint of system 'tiny'"),
    (["train", "recipe.yaml", "store", "-o", "o", "-c", "run", "--set", "training.lr=1"], "fixed by the checkpoint"),
    (["train", "broken.yaml", "store"], "not valid YAML"),
    (["train", "recipe.yaml", "store", "-o", "o", "--set", "data.split=[0, 5, 0]"], "no training event"),
    (["infer", "gone", "store", "-o", "o"], "no checkpoint 'gone'"),
    (["infer", "recipe.yaml", "store", "-o", "o"], "not a checkpoint of hitloom"),
    (["infer", "run", "gone", "-o", "o"], "gone: no such event store"),
    (["infer", "run", "store", "-o", "o", "-s", "tset"], "unknown split 'tset'. Did you mean 'test'"),
    (["infer", "run", "store", "-o", "o", "--set", "model.width=9"], "another architecture"),
    (["infer", "run", "store", "-o", "o", "--set", "system=eggnet"], "unknown key"),
    (["infer", "run", "store"], "Missing option"),
    (["eval", "gone"], "no results"),
    (["display", "gone"], "no results"),
    (["info", "gone"], "no checkpoint 'gone'"),
    (["export", "gone"], "no checkpoint 'gone'"),
    (["config", "check", "broken.yaml"], "not valid YAML"),
    (["config", "schema", "egnet"], "Did you mean 'eggnet'"),
    (["simulate", "tracker", "-o", "store", "-n", "1"], "already exists"),
    (["simulate", "tracker", "-o", "new", "--set", "pileip=1"], "Did you mean 'pileup'"),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES, ids=[" ".join(item[0]) for item in MISTAKES])
def test_every_mistake_is_one_line_and_exit_code_two(
    cli: Callable, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
):
    for name in ("store", "recipe.yaml", "run"):
        (tmp_path / name).symlink_to(workshop / name)
    (tmp_path / "broken.yaml").write_text("system: [tiny\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    answer = cli(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("hitloom: ")
    assert text in line
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_debugging_shows_where_an_error_came_from(cli: Callable, monkeypatch: pytest.MonkeyPatch):
    from hitloom.errors import ConfigError

    with pytest.raises(ConfigError):
        monkeypatch.setenv("HITLOOM_DEBUG", "1")
        from hitloom.cli.main import run

        run(["config", "check", "gone"])


def test_our_own_faults_keep_their_traceback(cli: Callable, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hitloom.training.run_config.load_recipe", broken)
    with pytest.raises(ZeroDivisionError):
        cli("config", "check", "eggnet-small")


def test_config_verbs(cli: Callable):
    from hitloom.config import parse_yaml
    from hitloom.training.run_config import build_run_config, load_recipe

    shown = cli("config", "show", "eggnet-small", "--set", "training.max_epochs=7").out
    assert build_run_config(parse_yaml(shown, where="shown")) == load_recipe("eggnet-small", ["training.max_epochs=7"])
    assert "a valid run of system eggnet" in cli("config", "check", "eggnet-trackml").out
    schema = json.loads(cli("config", "schema", "eggnet").out)
    assert {"system", "model", "data", "training", "evaluation"} <= schema["properties"].keys()
    assert "eggnet-trackml" in cli("config", "list").out.split()


def test_info_of_recipes_and_runs(cli: Callable, workshop: Path):
    recipe = json.loads(cli("info", "eggnet-trackml", "--json").out)
    assert (recipe["kind"], recipe["system"], recipe["num_parameters"]) == ("recipe", "eggnet", 1_257_760)
    assert "pos" in recipe["needs"]
    run = json.loads(cli("info", workshop / "run", "--json").out)
    assert (run["kind"], run["system"], run["version"]) == ("checkpoint", "tiny", __version__)
    assert "num_parameters: 59" in cli("info", workshop / "run").out


def test_no_help_text_or_message_names_another_tool(cli: Callable):
    for verb in VERBS:
        assert "lightning" not in cli(*verb.split(), "--help").out.lower()
