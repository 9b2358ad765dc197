"""Run a compiled kernel over ranges of blocks on several threads.

The kernels release the interpreter lock, so plain threads share one compiled, serial kernel. Nothing survives
the call: unlike an OpenMP pool this is safe in a forked data-loading worker, and it compiles once, not twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Out = TypeVar("Out")


def num_threads() -> int:
    """Number of threads for the compiled searches: torch's own setting, at most the cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(torch.get_num_threads(), cores))


def run_blocks(kernel: Callable[[int, int], Out], num_blocks: int, *, grain: int = 1) -> list[Out]:
    """Call ``kernel(first, last)`` over ``range(num_blocks)`` in contiguous chunks, and return the results in order.

    Parameters
    ----------
    kernel
        Function of a half-open range of blocks; must release the interpreter lock to gain anything.
    num_blocks
        Number of blocks in all.
    grain
        Smallest chunk worth a thread.

    Returns
    -------
    list
        One result per chunk, in block order whatever the order of completion.
    """
    threads = min(num_threads(), max(1, num_blocks // max(1, grain)))
    if threads == 1:
        return [kernel(0, num_blocks)] if num_blocks else []
    # Several chunks per thread: leaves in dense regions take longer, and the last chunk should not be waited for.
    step = max(grain, -(-num_blocks // (threads * 8)))
    spans = [(first, min(first + step, num_blocks)) for first in range(0, num_blocks, step)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda span: kernel(*span), spans))
