"""A sweep: one recipe trained once for every combination of some settings, into one table.

Every run is a run folder of its own, as ``hitloom train`` leaves it, with ``sweep.json`` beside: its row of the table.
A sweep that was stopped goes on where it was; a run that fails is in the table with its error, and the others go on.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitloom.config import load_yaml, parse_yaml
from hitloom.data.files import atomic_file
from hitloom.data.store import EventStore
from hitloom.errors import ConfigError, HitloomError
from hitloom.registry import get_system
from hitloom.training.batches import taken
from hitloom.training.checkpoint import load_checkpoint
from hitloom.training.hardware import choose_device
from hitloom.training.run_config import RECIPES, DataSection, RunConfig, load_recipe, recipe_path
from hitloom.training.run_data import RunData, StoredEvents, open_data, split_rows
from hitloom.training.stages import is_staged
from hitloom.training.start import plan_start
from hitloom.training.sweep_table import write_table
from hitloom.training.train import train
from hitloom.training.validation import rates_of, validate

log = logging.getLogger("hitloom")

SWEEPS = RECIPES / "sweeps"
ROW = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One run of a sweep.

    Attributes
    ----------
    name : str
        Of its folder.
    settings : dict
        Dotted name -> value, as YAML reads it.
    overrides : list of str
        The same as ``"a.b=value"``.
    """

    name: str
    settings: dict[str, Any]
    overrides: list[str]


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return setting -> values (as YAML text) of ``"a.b=x,y"``; commas within brackets do not part values.

    Raises
    ------
    ConfigError
        When there is no ``=``, a setting comes twice, or it has no value.
    """
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, separator, values = text.partition("=")
        key = key.strip()
        if not separator or not key or not values.strip():
            raise ConfigError(f"--grid {text!r}: wanted key=value,value, for example --grid model.gate=gru,lstm")
        if key in grid:
            raise ConfigError(f"--grid {text!r}: '{key}' came before; mend: all of its values in one --grid")
        grid[key] = [value.strip() for value in re.split(r",(?![^\[{]*[\]}])", values)]
    return grid


def grid_of_recipe(recipe: str | Path) -> dict[str, list[str]]:
    """Return the grid that ships for a recipe, or for every recipe of its system.

    Raises
    ------
    ConfigError
        When there is none.
    """
    path = recipe_path(recipe)
    system = str(load_yaml(path).get("system"))
    for name in (path.stem, system):
        if (SWEEPS / f"{name}.yaml").is_file():
            grid = load_yaml(SWEEPS / f"{name}.yaml")
            return {key: [json.dumps(value) for value in values] for key, values in grid.items()}
    raise ConfigError(f"no grid ships for recipe '{recipe}'; mend: --grid KEY=VALUE,VALUE")


def combinations(grid: Mapping[str, Sequence[str]]) -> list[Combination]:
    """Return every combination, the last setting changing fastest; a value that comes twice counts once."""
    short = {key: key.rpartition(".")[2] for key in grid}
    if len(set(short.values())) < len(short):
        short = {key: key for key in grid}
    found: dict[str, Combination] = {}
    for values in itertools.product(*grid.values()):
        settings = {key: parse_yaml(value, where=f"--grid {key}") for key, value in zip(grid, values, strict=True)}
        name = "_".join(f"{short[key]}={_plain(value)}" for key, value in settings.items())
        overrides = [f"{key}={value}" for key, value in zip(grid, values, strict=True)]
        found.setdefault(name, Combination(name=name, settings=settings, overrides=overrides))
    return list(found.values())


def sweep(
    recipe: str | Path,
    *,
    grid: Mapping[str, Sequence[str]],
    output: str | Path,
    overrides: Sequence[str] = (),
    store: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Train every combination one after the other; return the rows of ``sweep.csv`` and ``sweep.md``.

    A row holds the settings, ``status`` (ok or failed), ``num_parameters``, the best monitored value and its epoch,
    ``test_...`` (what validation gives, for the best weights on the test events, where there are some), ``seconds``,
    ``seed`` and ``error``.

    Raises
    ------
    ConfigError
        When no combination is a valid configuration, or the runs would need several devices or stages.
    StopRequested
        After a signal; the same call goes on from there.
    """
    folder, runs = Path(output), combinations(grid)
    given = [*overrides, *([] if store is None else [f"data.store={json.dumps(str(store))}"])]
    _check(recipe, runs, given)
    memory = _Memory()
    rows: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        log.info(f"[{number + 1}/{len(runs)}] {run.name}")
        rows.append(_row(recipe, run, folder / run.name, given, memory))
        write_table(folder, rows)
    return rows


def _check(recipe: str | Path, runs: Sequence[Combination], overrides: Sequence[str]) -> None:
    errors = []
    for run in runs:
        try:
            config = load_recipe(recipe, [*overrides, *run.overrides])
        except ConfigError as error:
            errors.append(error)
            continue
        if is_staged(config):
            raise ConfigError(f"sweep: system '{config.system}' is made of stages; mend: one 'hitloom train' for each")
        if config.training.devices * config.training.num_nodes > 1:
            raise ConfigError("sweep: runs go one after the other on one device; mend: training.devices=1")
    if errors and len(errors) == len(runs):
        raise errors[0]


class _Memory:
    """The events of the last run: most combinations share them."""

    def __init__(self) -> None:
        self.section: DataSection | None = None
        self.data: RunData | None = None

    def open(self, section: DataSection) -> RunData:
        if self.data is None or section != self.section:
            self.section, self.data = section, open_data(section)
        return self.data


def _row(
    recipe: str | Path, run: Combination, folder: Path, overrides: Sequence[str], memory: _Memory
) -> dict[str, Any]:
    """Return the row of one run: as it was left, or after training it."""
    begin = time.perf_counter()
    try:
        config = load_recipe(recipe, [*overrides, *run.overrides])
        data = memory.open(config.data)
        identity = {"config": config.to_yaml(), "data": data.fingerprint}
        kept = _kept(folder, identity)
        if kept is not None:
            return kept
        start = plan_start(recipe, overrides=[*overrides, *run.overrides], output=folder, resume=True)
        outcome = train(start.config, output=folder, data=data, resume=start.resume)
        values = {"status": "ok"} | _values(config, outcome.best or outcome.last, outcome.best_value, data)
    except Exception as error:  # a failed run must not cost the others
        if not isinstance(error, HitloomError):
            log.exception(f"{run.name} failed")
        text = " ".join(str(error).split()) or type(error).__name__
        return {"run": run.name, **run.settings, "status": "failed", "seconds": _since(begin), "error": text[:300]}
    row = {"run": run.name, **run.settings, **values, "seconds": _since(begin), "seed": config.training.seed}
    with atomic_file(folder / ROW) as part:
        part.write_text(json.dumps({"row": row, "identity": identity}, indent=1) + "\n", encoding="utf-8")
    return row


def _kept(folder: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the row of a finished run of this configuration on these events."""
    try:
        record = json.loads((folder / ROW).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record["row"] if record.get("identity") == identity else None


def _values(config: RunConfig, checkpoint: Path | None, best: float | None, data: RunData) -> dict[str, Any]:
    assert checkpoint is not None
    loaded = load_checkpoint(checkpoint)
    found: dict[str, Any] = {
        "num_parameters": get_system(config.system)(config.model).num_parameters,
        f"best {config.training.monitor}": best,
        "epoch": loaded.header["epoch"],
    }
    if config.data.store is None or not isinstance(data.train, StoredEvents):
        return found
    store: EventStore = data.train.store
    test = StoredEvents(store, split_rows(store, config.data, "test"), hard_cuts=config.data.cuts)
    if not len(test):
        return found
    device = choose_device(config.training.accelerator)
    system = loaded.build_system().to(device)
    step = config.data.batch_size if system.batches_inference and not system.validates_partition else 1
    events = ((first, taken(test, range(first, min(first + step, len(test))))) for first in range(0, len(test), step))
    sums = validate(system, events, device=device, seed=config.training.seed, targets=config.evaluation.targets)
    rates = rates_of(system, sums)
    return found | {f"test_{name.removeprefix('val_')}": value for name, value in rates.items()}


def _since(begin: float) -> float:
    return round(time.perf_counter() - begin, 1)


def _plain(value: Any) -> str:
    """Return a value as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value)).strip("-") or "empty"
