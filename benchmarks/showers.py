"""Shower growing: hitloom against the plain formulation, same weights, same results.

The peers are the plain formulation: the encoder on one cluster after the other with torch's scaled dot-product
attention, the pair head on all concatenated pairs of vectors.

    python benchmarks/showers.py --clock cpu                  # everything, one thread with --threads 1
    python benchmarks/showers.py --tasks encoder --points 500 2000
    python benchmarks/showers.py --tasks memory --points 2000 # peak memory of the pair head, each in a fresh process

Networks of the published example: 14 columns, encoder 64/128/8 heads/32 points, attention 128/256/8/32, head 512. A
view has 45 % clusters of one hit, 30 % of two, and others of up to tens of hits.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _bench import Contest, gemm_rate, parser, print_table, set_threads
from hitloom.nn.pair_head import PairHead
from hitloom.nn.set_transformer import SetAttention, SetTransformer
from hitloom.systems.showers import Showers, ShowersConfig

NUM_COLUMNS = 14
TASKS = ("encoder", "head", "view", "memory")


def view(num_clusters: int) -> tuple[Tensor, Tensor]:
    """Return the rows (R, 14) of a view, and the cluster (R,) of each."""
    random = np.random.default_rng(0)
    draw = random.random(num_clusters)
    hits = np.where(draw < 0.45, 1, np.where(draw < 0.75, 2, 2 + random.geometric(0.1, num_clusters)))
    cluster = torch.repeat_interleave(torch.arange(num_clusters), torch.as_tensor(hits))
    return torch.randn(len(cluster), NUM_COLUMNS, generator=torch.Generator().manual_seed(0)), cluster


def published() -> Showers:
    """Return the published example with random weights."""
    torch.manual_seed(0)
    return Showers(ShowersConfig()).eval()


def plain_block(block: SetAttention, query: Tensor, key: Tensor) -> Tensor:
    """Return the output of a block for one set, all keys projected."""
    return block.after_query(block.query(query), key)


def plain_transformer(network: SetTransformer, x: Tensor) -> Tensor:
    """Return what the network gives one set (L, F): (1, E) or (L, E)."""
    x = x[None]
    for block in network.encoder:
        x = plain_block(block.spread, x, plain_block(block.gather, block.points, x))
    if network.pool is not None:
        x = plain_block(network.pool.attention, network.pool.queries, x)
    for block in network.decoder:
        x = plain_block(block, x, x)
    return network.last(x)[0]


def concatenated(head: PairHead, vectors: Tensor) -> Tensor:
    """Return the logits (N, N) from the table of all ordered pairs (N^2, 2 A)."""
    num = len(vectors)
    one = head.pair(torch.cat([vectors.repeat_interleave(num, 0), vectors.repeat(num, 1)], 1)).view(num, num)
    return (0.5 * (one + one.T)).diagonal_scatter(head.single(vectors)[:, 0])


def contestants(task: str, num: int, *, step: bool) -> dict[str, Callable[[], Tensor]]:
    """Return hitloom and the peer for one task; ``step``: with the backward pass."""
    network = published().network
    rows, cluster = view(num)
    sizes = torch.bincount(cluster, minlength=num).tolist()
    vectors = torch.randn(num, 128, generator=torch.Generator().manual_seed(1))

    def encoded() -> Tensor:
        return network.encode(rows, cluster, num)

    def one_by_one() -> Tensor:
        return torch.cat([plain_transformer(network.encoder, part) for part in rows.split(sizes)])

    def whole() -> Tensor:
        return network(rows, cluster, torch.tensor([num])).logit

    def plain_view() -> Tensor:
        return concatenated(network.similarity, plain_transformer(network.attention, one_by_one())).flatten()

    calls = {
        "encoder": (encoded, one_by_one),
        "head": (lambda: network.similarity(vectors), lambda: concatenated(network.similarity, vectors)),
        "view": (whole, plain_view),
    }[task]

    def run(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def forward() -> Tensor:
            with torch.inference_mode():
                return call()

        def backward() -> Tensor:
            network.zero_grad()
            out = call()
            out.square().mean().backward()
            return out.detach()

        return backward if step else forward

    return dict(zip(("hitloom", "plain"), map(run, calls), strict=True))


def products(task: str, num: int) -> float:
    """Return the multiplications that the plain formulation asks for; 0 where they are not counted."""
    if task == "head":
        return num * num * 257 * 512
    if task == "encoder":
        rows, _ = view(num)
        square, points = 128 * 128, 32
        return 2 * 3 * num * points * square + 5 * len(rows) * square + 5 * num * square
    return 0.0


def compare(arguments: argparse.Namespace, task: str, rate: float) -> None:
    """Print time and ratio by number of clusters, forward and with the backward pass."""
    rows = []
    for num in arguments.points or (500, 2000):
        for step in (False, True):
            contest = Contest(rounds=arguments.rounds, budget=arguments.budget)
            calls = contestants(task, num, step=step)
            if task != "encoder" and num > 1000:
                calls.pop("plain")  # the table of all pairs alone would need tens of GiB
            contest.run(calls, warm_up=calls["hitloom"])
            own = contest.median("hitloom", arguments.clock)
            cells = [f"{num}", "step" if step else "forward", f"{own:.3f}"]
            if "plain" in calls:
                apart = float((contest.result["hitloom"] - contest.result["plain"]).abs().max())
                if apart > 1e-4:
                    raise SystemExit(f"{task}: results differ by {apart:.1e}")
                peer = contest.median("plain", arguments.clock)
                cells += [f"{peer:.3f}", f"{peer / own:.1f}"]
            else:
                cells += ["-", "-"]
            bound = 2 * products(task, num) * (3 if step else 1) / rate
            rows.append([*cells, f"{bound:.3f}" if bound else "-"])
            print(f"  {task} {rows[-1]}", file=sys.stderr, flush=True)
    print(f"\n{task}, {arguments.clock} seconds, {torch.get_num_threads()} threads\n")
    print_table(["clusters", "what", "hitloom s", "plain s", "ratio", "products of the plain form s"], rows)


def memory(arguments: argparse.Namespace) -> None:
    """Print the peak memory of the pair head beyond what the process has before, each in a fresh process."""
    rows = []
    for num in arguments.points or (500, 2000):
        cells = [str(num)]
        for who, step in (("hitloom", False), ("hitloom", True), ("plain", False)):
            command = [sys.executable, __file__, "--peak", who, str(num), str(int(step))]
            found = subprocess.run(command, capture_output=True, text=True, check=False)
            cells.append(f"{int(found.stdout)} MiB" if found.returncode == 0 else "out of memory")
        rows.append(cells)
    print_table(["clusters", "hitloom forward", "hitloom step", "plain forward"], rows)


def peak(who: str, num: int, step: bool) -> None:
    """Print the growth of the peak memory in MiB."""
    call: Any = contestants("head", 8, step=step)[who]()  # compiled passes are loaded
    call = contestants("head", num, step=step)[who]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


def main() -> None:
    """Read the options and run the tasks."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    options.add_argument("--peak", nargs=3, metavar=("WHO", "CLUSTERS", "STEP"), help=argparse.SUPPRESS)
    arguments = options.parse_args()
    set_threads(arguments.threads)
    if arguments.peak:
        who, num, step = arguments.peak
        return peak(who, int(num), bool(int(step)))
    if arguments.quick:
        arguments.points, arguments.rounds = [40], 1
    rate = gemm_rate()
    for task in arguments.tasks:
        if task == "memory":
            memory(arguments)
        else:
            compare(arguments, task, rate)
    return None


if __name__ == "__main__":
    main()
