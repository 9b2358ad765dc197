"""Several methods on the same events: run what is not there yet, then evaluate all of them beside each other.

Layout of the folder: ``results/NAME/`` of every method that was run here, and the evaluation (``metrics.json``,
``plots/``, ``report.html``) at the top.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hitloom.baselines import baseline_names, get_baseline
from hitloom.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from hitloom.config import Config
    from hitloom.data.store import EventStore
    from hitloom.report.sources import Opened
    from hitloom.result import Result
    from hitloom.training.checkpoint import Checkpoint

Kind = Literal["checkpoint", "baseline", "results"]
HELD_OUT = ("test", "val")
_RESULTS_TOGETHER, _POINTS_TOGETHER = 64, 20_000  # results in one file while a baseline runs, and their points


@dataclass(frozen=True, kw_only=True)
class Method:
    """What is compared.

    Attributes
    ----------
    name : str
        In tables, legends and folders.
    kind : str
    what : str
        Path or name of the checkpoint, name of the baseline, or folder of results.
    """

    name: str
    kind: Kind
    what: str


def parse_methods(given: Sequence[str]) -> list[Method]:
    """Read ``NAME=WHAT`` or ``WHAT``; WHAT is a baseline, a folder of results, a checkpoint, run or shipped weights.

    Raises
    ------
    ConfigError
        When something is not to be found, or two methods have one name.

    Examples
    --------
    >>> parse_methods(["kalman=ckf"])
    [Method(name='kalman', kind='baseline', what='ckf')]
    """
    methods: list[Method] = []
    for text in given:
        name, separator, what = text.partition("=")
        if not separator:
            name, what = "", text
        if (separator and not name) or not what:
            raise ConfigError(f"method '{text}': NAME=WHAT or WHAT was wanted, for example kalman=ckf")
        kind, what = _kind_of(what)
        name = name or _name_of(kind, what)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
            raise ConfigError(f"method '{text}': letters, digits, and . _ + - within were wanted in the name '{name}'")
        if name in {method.name for method in methods}:
            raise ConfigError(f"method '{text}': the name '{name}' is taken; mend: OTHER={what}")
        methods.append(Method(name=name, kind=kind, what=what))
    if not methods:
        raise ConfigError("compare: at least one method was wanted, for example ckf")
    return methods


def _kind_of(what: str) -> tuple[Kind, str]:
    from hitloom.training.checkpoint import shipped_weights

    path = Path(what)
    if what.replace("_", "-") in baseline_names():
        return "baseline", what.replace("_", "-")
    if path.is_dir() and any(path.glob("results-*.parquet")):
        return "results", what
    if path.exists() or what in shipped_weights():
        return "checkpoint", what
    known = [*baseline_names(), *shipped_weights()]
    raise ConfigError(f"method '{what}': no baseline, no shipped weights and no such path.{nearest(what, known)}")


def _name_of(kind: Kind, what: str) -> str:
    """Return a telling part of the path: the run of a checkpoint, the folder above ``results``."""
    if kind == "baseline":
        return what.replace("-", "_")
    path = Path(what).resolve() if Path(what).exists() else Path(what)
    parts = [part for part in (*path.parts[:-1], path.stem if path.is_file() else path.name) if part != path.anchor]
    telling = [part for part in parts if part not in ("best", "last", "checkpoints", "results")]
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", telling[-1]) if telling else kind


def compare(
    store: str | Path,
    methods: Sequence[Method],
    *,
    output: str | Path,
    main: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    config: Callable[[dict[str, Any], type[Config]], Config] | None = None,
    family: str | None = None,
    accelerator: str = "auto",
    redo: bool = False,
    allow_training: bool = False,
    on_event: Callable[[str, int], None] = lambda name, number: None,
) -> dict[str, Any]:
    """Run the methods on the same events and evaluate them together; return what ``metrics.json`` holds.

    Parameters
    ----------
    main : str or None
        The method that the others stand beside, whose loss budget is shown; None = the first.
    split : train, val, test, all or None
        None = test (else val) where a checkpoint was trained on this very store, else all events.
    limit : int or None
        At most so many events, the first.
    config : callable or None
        Makes the settings from those that the main method's results recorded and the class of the settings; None =
        these alone.
    family : str or None
        Family of evaluation; None = what the events of the store are.
    redo : bool
        Run again what is there from another checkpoint or store; otherwise that is refused.
    allow_training : bool
        Count events that a checkpoint was trained on; otherwise they are refused.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        One line.
    """
    from hitloom.cli.inside import inside_of
    from hitloom.config import build
    from hitloom.data.store import EventStore
    from hitloom.report.evaluate import evaluate_results
    from hitloom.report.family import family_of
    from hitloom.training.checkpoint import find_checkpoint, load_checkpoint

    chosen = main if main is not None else methods[0].name
    names = [method.name for method in methods]
    if chosen not in names:
        raise ConfigError(f"--main '{chosen}': no method has this name.{nearest(chosen, names)}")
    events, folder = EventStore(store), Path(output)
    kind = family_of(events, family)
    if config is not None:
        config({}, kind.config_class)  # a mistake in the settings is said before anything runs
    checkpoints = {
        item.name: load_checkpoint(find_checkpoint(item.what)) for item in methods if item.kind == "checkpoint"
    }
    rows = choose_rows(events, checkpoints, split=split, allow_training=allow_training)[:limit]
    wanted = [int(events.event_ids[row]) for row in rows]
    opened: dict[str, Opened] = {}
    for method in methods:
        place = Path(method.what) if method.kind == "results" else folder / "results" / method.name
        if method.kind == "baseline":
            run_baseline(method.what, events, rows, place, redo=redo, on_event=partial(on_event, method.name))
        elif method.kind == "checkpoint":
            from hitloom.training.infer import infer

            infer(
                checkpoints[method.name],
                store,
                output=place,
                rows={"compared": rows},
                accelerator=accelerator,
                redo=redo,
                on_event=_without_total(on_event, method.name),
            )
        opened[method.name] = _open(place, method, events)
    shared = _shared(opened, wanted, folder)
    sources = {name: _only(item, shared) for name, item in opened.items()}
    from hitloom.cli.eval_defaults import settings_of

    recorded = settings_of(sources[chosen].meta)
    recorded = {key: value for key, value in recorded.items() if key not in ("hit_selection", "truth_selected_input")}
    wanted_class = kind.config_class
    settings = config(recorded, wanted_class) if config else build(wanted_class, recorded, where="recorded settings")
    return evaluate_results(
        sources[chosen],
        events=store,
        name=chosen,
        split=split,
        config=settings,
        output=folder,
        baselines={name: item for name, item in sources.items() if name != chosen},
        inside=inside_of(checkpoints[chosen], accelerator=accelerator) if chosen in checkpoints else None,
        family=kind.name,
        on_event=lambda name, number: on_event(f"evaluating {chosen if name == 'results' else name}", number),
    )


def _without_total(on_event: Callable[[str, int], None], name: str) -> Callable[[str, int, int], None]:
    return lambda split, done, total: on_event(name, done)


def choose_rows(
    store: EventStore, checkpoints: dict[str, Checkpoint], *, split: str | None, allow_training: bool = False
) -> list[int]:
    """Return the rows of the store that are compared, none of which any checkpoint was trained on.

    Raises
    ------
    ConfigError
        When a split is unknown or empty, or would hold events of a training.
    """
    from hitloom.training.run_data import SPLITS, split_rows

    own = {name: item for name, item in checkpoints.items() if item.header["data_fingerprint"] == store.fingerprint()}
    first = next(iter(own.values()), None)

    def rows_of(name: str) -> list[int]:
        if name == "all":
            return list(range(len(store)))
        return store.indices(name) if first is None else split_rows(store, first.config.data, name)

    if split is not None and split not in (*SPLITS, "all"):
        raise ConfigError(f"unknown split '{split}'.{nearest(split, (*SPLITS, 'all'))}")
    if split is None:
        split = next((name for name in HELD_OUT if rows_of(name)), "all") if own else "all"
    rows = rows_of(split)
    if not rows:
        raise ConfigError(f"{store.path}: no event is in split '{split}'; mend: --split all, or another store")
    for name, item in own.items():
        seen = len(set(rows) & set(split_rows(store, item.config.data, "train")))
        if seen and not allow_training:
            raise ConfigError(
                f"split '{split}': '{name}' was trained on {seen} of these {len(rows)} events, so its numbers would "
                "flatter; mend: --split test, other events, or --allow-training"
            )
    return rows


def run_baseline(
    name: str,
    store: EventStore,
    rows: Sequence[int],
    folder: Path,
    *,
    split: str = "compared",
    redo: bool = False,
    on_event: Callable[[int], None] = lambda number: None,
) -> None:
    """Write the results of a classical finder; events that are there from the same settings and store are kept."""
    import torch

    from hitloom.data.results import ResultWriter
    from hitloom.training.infer import hardware

    baseline = get_baseline(name)
    config = baseline.config_class()
    meta = {
        "system": name,
        "baseline": name,
        "store": str(store.path.resolve()),
        "store_fingerprint": store.fingerprint(),
        "settings": config.model_dump(mode="json"),
        "hardware": hardware(torch.device("cpu")),
    }
    ids = store.event_ids.tolist()
    order = [int(ids[row]) for row in rows]
    identity = ("baseline", "store_fingerprint", "settings")
    with ResultWriter(folder, split, meta=meta, identity=identity, redo=redo, order=order) as writer:
        todo = [row for row in rows if int(ids[row]) not in writer.done]
        if todo:
            number = 0
            for results in _gathered(baseline.run((store[row] for row in todo), config)):
                writer.write(*results)
                number += len(results)
                on_event(number)


def _gathered(results: Iterable[Result]) -> Iterator[list[Result]]:
    """Yield large results one by one, small ones in lists: each list is a file until all are there."""
    held: list[Result] = []
    num_points = 0
    for result in results:
        held.append(result)
        num_points += len(result.labels)
        if num_points >= _POINTS_TOGETHER or len(held) == _RESULTS_TOGETHER:
            yield held
            held, num_points = [], 0
    if held:
        yield held


def _open(folder: Path, method: Method, store: EventStore) -> Opened:
    from hitloom.report.sources import open_results

    opened = open_results(folder, name=method.name)
    made_from = opened.meta.get("store_fingerprint")
    if made_from not in (None, store.fingerprint()):
        raise DataError(f"{folder}: results of another event store ({opened.events}), not of {store.path}")
    return opened


def _shared(opened: dict[str, Opened], wanted: Sequence[int], folder: Path) -> frozenset[int]:
    """Return the wanted events that every method has results of."""
    shared = set(wanted)
    for name, item in opened.items():
        have = {int(number) for number in _ids_of(item.items)}
        if not shared & have:
            raise DataError(f"{name}: {item.name} holds no result of the {len(shared)} events that the others have")
        shared &= have
    return frozenset(shared)


def _ids_of(items: Iterable[Any]) -> Iterable[int]:
    return items.event_ids if hasattr(items, "event_ids") else [result.event_id for result in items]


def _only(opened: Opened, event_ids: frozenset[int]) -> Opened:
    from hitloom.report.sources import Only

    return replace(opened, items=Only(items=opened.items, event_ids=event_ids))
