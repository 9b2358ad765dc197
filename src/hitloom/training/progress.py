"""Progress of a run: a rich bar on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("hitloom")
_QUIET_SECONDS = 60.0


class Progress:
    """Says how far a run is. The base class writes one line per epoch to the ``hitloom`` logger."""

    def __init__(self, *, num_epochs: int) -> None:
        self.num_epochs = num_epochs
        self._what, self._total, self._done, self._said = "", 0, 0, time.monotonic()

    def begin_epoch(self, epoch: int, num_batches: int) -> None:
        """An epoch of ``num_batches`` begins."""
        self._what, self._total, self._done = f"epoch {epoch + 1}/{self.num_epochs}, batch", num_batches, 0

    def begin_validation(self, num_events: int) -> None:
        """Validation of ``num_events`` begins."""
        self._what, self._total, self._done = "validation event", num_events, 0

    def advance(self, position: int | None = None) -> None:
        """One more batch or event, or a known position; says so when nothing was said for a minute."""
        self._done = self._done + 1 if position is None else position
        if time.monotonic() - self._said > _QUIET_SECONDS:
            self._say(f"{self._what} {self._done}/{self._total}")

    def end_epoch(self, row: Mapping[str, Any], monitor: str) -> None:
        """An epoch is finished and saved."""
        self._say(epoch_line(row, monitor, self.num_epochs))

    def _say(self, text: str) -> None:
        log.info(text)
        self._said = time.monotonic()

    def close(self) -> None:
        """The run is over."""


class Silent(Progress):
    """Says nothing: for every device but the first."""

    def _say(self, text: str) -> None:
        """Say nothing."""


class Bar(Progress):
    """A bar for the running epoch under the lines of the finished ones."""

    def __init__(self, *, num_epochs: int) -> None:
        super().__init__(num_epochs=num_epochs)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def begin_epoch(self, epoch: int, num_batches: int) -> None:
        """Show an empty bar."""
        self._bar.reset(self._task, total=num_batches, description=f"epoch {epoch + 1}/{self.num_epochs}")

    def begin_validation(self, num_events: int) -> None:
        """Show an empty bar."""
        self._bar.reset(self._task, total=num_events, description="validation")

    def advance(self, position: int | None = None) -> None:
        """Move the bar."""
        if position is None:
            self._bar.advance(self._task)
        else:
            self._bar.update(self._task, completed=position)

    def _say(self, text: str) -> None:
        """Print the line above the bar."""
        self._bar.console.print(text, highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def epoch_line(row: Mapping[str, Any], monitor: str, num_epochs: int) -> str:
    """Return one line for a finished epoch: losses, the monitored value, rate and time."""
    names = ["train_loss", "val_loss", monitor, "val_signal_efficiency", "val_fake_per_matched_particle"]
    parts = [f"{name} {row[name]:.4g}" for name in dict.fromkeys(names) if name in row]
    parts += [f"lr {row['lr']:.3g}", f"{row['seconds']:.1f} s"]
    return f"epoch {row['epoch'] + 1}/{num_epochs}: " + ", ".join(parts)
