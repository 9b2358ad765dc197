"""Stop signals: Ctrl-C, SIGTERM and slurm's SIGUSR1 ask for a stop between two steps; a second Ctrl-C stops at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any


class StopRequested(BaseException):
    """Raised between two steps after the state was saved; ``signum`` is the signal that asked, ``rank`` the device.

    ``saved`` is False when a second Ctrl-C did not wait for that.
    """

    def __init__(self, signum: int, *, rank: int = 0, saved: bool = True) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.rank = rank
        self.saved = saved


class StopSignals:
    """Context in which the three signals set :attr:`requested` instead of ending the process."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self.install()
        return self

    def install(self) -> None:
        """Set the handlers (again: Lightning sets its own when a fit begins)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGUSR1", None)):
            if signum is not None:
                previous = signal.signal(signum, self._handle)
                self._previous.setdefault(signum, previous)

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
        self._previous = {}

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.requested == signal.SIGINT and signum == signal.SIGINT:
            raise StopRequested(signum, saved=False)
        self.requested = signum


def requeue_slurm_job() -> bool:
    """Ask slurm to queue this job again; False outside slurm or when slurm refuses."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{job}_{task}" if job and task else os.environ.get("SLURM_JOB_ID")
    if not name:
        return False
    try:
        return subprocess.run(["scontrol", "requeue", name], check=False).returncode == 0
    except OSError:
        return False
