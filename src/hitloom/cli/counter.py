"""Counts events: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import typer

_SECONDS = 30.0


class Counter:
    """Called with a name, the number done and the total (None = unknown)."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None
        self._task: Any = None
        self._name = ""
        self._said = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()

    def __call__(self, name: str, done: int, total: int | None = None) -> None:
        if self._bar is not None:
            if self._task is None or name != self._name:
                self._task = self._bar.add_task(f"{name} {self._unit}", total=total)
            self._bar.update(self._task, completed=done, total=total)
        elif done == total or time.monotonic() - self._said > _SECONDS:
            self._said = time.monotonic()
            typer.echo(f"{name}: {done}{'' if total is None else f' of {total}'} {self._unit}", err=True)
        self._name = name

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


def watched(events: Iterable[Any], total: int | None) -> Iterator[Any]:
    """Yield the events; a bar on a terminal, about ten lines elsewhere, both on stderr."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(events, total=total, description="events", console=Console(stderr=True), transient=True)
        return
    step = 1000 if total is None else max(1, total // 10)
    for number, event in enumerate(events, 1):
        yield event
        if number % step == 0:
            typer.echo(f"events: {number} of {total if total is not None else '?'}", err=True)
