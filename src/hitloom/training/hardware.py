"""Threads, precision and accelerators: what this machine can do, and what it should not be asked for."""

from __future__ import annotations

import logging
import os
import platform
import sys
from pathlib import Path

import torch

from hitloom.errors import ConfigError

log = logging.getLogger("hitloom")


def set_threads(num_threads: int | None, *, best: int | None = None) -> int:
    """Set the number of torch threads and return it.

    None takes ``best``, the number that serves a system best, where it has one; else it keeps ``OMP_NUM_THREADS``
    where that is set, and otherwise takes the cores this process may use (not more than the physical ones that torch
    chose). More threads than ``best`` are taken with a warning: many small operations can be ten times slower then.
    """
    if num_threads is None and best is None:
        if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):
            torch.set_num_threads(max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0)))))
        return torch.get_num_threads()
    wanted = num_threads or best or 1
    if best is not None and wanted > best:
        log.warning(f"{wanted} threads: the small operations of this system are faster with {best}")
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    return wanted


def cpu_has_bf16() -> bool:
    """Whether this CPU has instructions for bf16 products; without them bf16 is tens of times slower than fp32."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return platform.machine() == "arm64"
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def choose_device(accelerator: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        When cuda is asked for and not there.
    """
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError("accelerator 'cuda' is wanted and this torch sees no CUDA device; mend: accelerator cpu")
    return torch.device(accelerator)


def check_devices(device: torch.device, num_devices: int) -> None:
    """Raise :class:`ConfigError` when more GPUs are asked for than there are."""
    if device.type == "cuda" and num_devices > torch.cuda.device_count():
        raise ConfigError(
            f"training.devices is {num_devices} and this machine has {torch.cuda.device_count()} CUDA devices; "
            f"mend: --set training.devices={torch.cuda.device_count()}"
        )


def choose_precision(precision: str, device: torch.device) -> str:
    """Return Lightning's name of the precision; falls back to fp32, with a warning, where the CPU would crawl."""
    if precision == "32":
        return "32-true"
    if device.type == "cpu":
        if precision == "16":
            log.warning("precision 16 needs a CUDA device; training runs in fp32")
            return "32-true"
        if not cpu_has_bf16():
            log.warning("this CPU has no bf16 instructions (bf16 would be tens of times slower); training runs in fp32")
            return "32-true"
    return "16-mixed" if precision == "16" else "bf16-mixed"


def peak_memory(device: torch.device) -> str:
    """Return the peak memory of this process, and of the GPU, in words."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    text = f"peak memory of the process {peak / 2**30:.2f} GiB"
    if device.type == "cuda":
        text += f", of the GPU {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB"
    return text
