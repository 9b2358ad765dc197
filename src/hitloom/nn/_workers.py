"""Threads for the compiled passes: rows are shared out, as many threads as torch uses.

The threads stay, because a pass takes less time than starting them; a forked process starts its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hitloom.ops._threads import num_threads

GRAIN = 1024  # rows worth a thread

_pool: ThreadPoolExecutor | None = None
_size = 0


def _forget() -> None:
    global _pool, _size
    _pool, _size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _executor(threads: int) -> ThreadPoolExecutor:
    global _pool, _size
    if _pool is None or _size < threads:
        if _pool is not None:
            _pool.shutdown(wait=True)
        _pool, _size = ThreadPoolExecutor(threads, thread_name_prefix="hitloom-rows"), threads
    return _pool


def over_rows(kernel: Callable[..., Any], arrays: tuple[Any, ...], *constants: Any, grain: int = GRAIN) -> None:
    """Call ``kernel(*arrays, *constants)`` on ranges of the arrays' first axis, which they share."""
    num = arrays[0].shape[0]
    threads = min(num_threads(), max(1, num // grain))
    if threads == 1:
        kernel(*arrays, *constants)
        return
    step = -(-num // threads)
    spans = [slice(first, first + step) for first in range(0, num, step)]
    work = [_executor(threads).submit(kernel, *(a[s] for a in arrays), *constants) for s in spans[1:]]
    kernel(*(a[spans[0]] for a in arrays), *constants)
    for part in work:
        part.result()


def over_spans(kernel: Callable[..., Any], num: int, *arguments: Any, grain: int = GRAIN, own: Any = None) -> None:
    """Call ``kernel(first, last, *arguments)`` on ranges of ``range(num)``.

    ``own`` (threads, ...), where given, has a slot for each thread, passed as the last argument.
    """
    threads = min(num_threads(), max(1, num // grain)) if own is None else min(len(own), max(1, num // grain))
    if threads == 1:
        kernel(0, num, *arguments, *(() if own is None else (own[0],)))
        return
    step = -(-num // threads)
    calls = [
        (first, min(num, first + step), *arguments, *(() if own is None else (own[i],)))
        for i, first in enumerate(range(0, num, step))
    ]
    work = [_executor(threads).submit(kernel, *call) for call in calls[1:]]
    kernel(*calls[0])
    for part in work:
        part.result()
