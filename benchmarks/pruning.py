"""Pruning: hitloom against one graph at a time, same weights, same decisions.

The peer is the design of the original program (it is the oracle of the tests, ``tests/systems/pruning_oracle.py``): a
Python loop over the graphs of a batch, torch's own cells, all nodes in every step, and for LSTM aggregation one
:class:`torch.nn.LSTM` call for each number of neighbours. For the tree it is hitloom itself on one trackster at a time.
hitloom takes the steps of all tracksters at the same time. Every network has the published width and heads.

    python benchmarks/pruning.py                        # all modes, 10, 30 and 100 layer clusters, batches of 64
    python benchmarks/pruning.py --modes autoregressive --aggregators lstm --tasks step --threads 2
    python benchmarks/pruning.py --device cuda --cost 10 30 100 300

A step is forward, loss and backward. The bound is the time that a large matrix product of torch would need for the
multiplications that the definition asks for (every node in the gate and in the messages, the undecided in the heads).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.event import Event
from hitloom.systems.pruning import Pruning, PruningConfig
from hitloom.systems.pruning.inputs import TracksterNodes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "systems"))
from pruning_oracle import PlainGraph, PlainNetwork

from _bench import print_table
from pruning_toy import toy_trackster

BATCH = 64
WIDTH = 128


def make(mode: str, aggregator: str, device: str, *, dropout: float = 0.2) -> Pruning:
    """Return a system of published width and heads."""
    torch.manual_seed(0)
    model: dict[str, Any] = {"mode": mode, "hidden": WIDTH, "sage_aggregator": aggregator, "head_dropout": dropout}
    model["tree"] = {"dropout": dropout / 2}
    system = Pruning(build(PruningConfig, model))
    system.fit_inputs(toy_trackster(30, seed) for seed in range(4))
    return system.to(device)


def tracksters(num_points: int, num: int, device: str) -> list[Event]:
    """Return ``num`` tracksters of this size."""
    return [toy_trackster(num_points, seed).to(device) for seed in range(num)]


def ours(system: Pruning, events: list[Event]) -> Callable[[str], Any]:
    """Return what runs one task on the batch."""
    batch = Batch.from_data_list(events)

    def run(task: str) -> Any:
        if task == "infer":
            with torch.inference_mode():
                return system.eval()(batch).point_score
        system.train().zero_grad()
        loss = system.loss(system(batch), batch).total
        loss.backward()
        return loss.detach()

    return run


def alone(system: Pruning, events: list[Event]) -> Callable[[str], Any]:
    """Return what runs one task on one graph after the other."""
    mode, name = system.mode, system.config.mode
    if name == "tree":
        runs = [ours(system, [event]) for event in events]
        return lambda task: torch.cat([run(task).reshape(-1) for run in runs])
    plain = PlainNetwork(mode.network)  # type: ignore[arg-type]
    device = events[0].x.device
    if device.type != "cpu":
        torch.set_default_device(device)
    graphs = [(event, PlainGraph(event.edge_index.to(device), event.num_points)) for event in events]

    def loss_of(event: Event, graph: PlainGraph, label: Tensor) -> Tensor:
        inputs, weight = mode.inputs(TracksterNodes.of(event)), torch.ones(len(label))
        if name == "multistep":
            logits = plain.multistep(inputs, graph, system.config.num_iterations)
            return torch.nn.functional.cross_entropy(logits, label)
        return plain.autoregressive(inputs, graph, label=label, weight=weight, teacher=True)[2]

    def score(event: Event, graph: PlainGraph) -> Tensor:
        inputs = mode.inputs(TracksterNodes.of(event))
        if name == "multistep":
            logits = plain.multistep(inputs, graph, system.config.num_iterations)
            return logits[:, 0] - logits[:, 1]
        return plain.autoregressive(inputs, graph, label=None, weight=None, teacher=False)[0]

    def run(task: str) -> Any:
        if task == "infer":
            system.eval()
            with torch.inference_mode():
                return torch.cat([score(event, graph) for event, graph in graphs])
        system.train().zero_grad()
        total = torch.zeros(())
        for event, graph in graphs:
            loss = loss_of(event, graph, event.point_y.long()) / len(graphs)
            loss.backward()  # graph by graph, so that one at a time is all that it keeps
            total = total + loss.detach()
        return total

    return run


def equality(mode: str, aggregator: str, num_points: int) -> float:
    """Return the largest difference of keep logits and of the loss, without dropout."""
    system, events = make(mode, aggregator, "cpu", dropout=0.0), tracksters(num_points, 4, "cpu")
    first, second = ours(system, events), alone(system, events)
    score = float((first("infer") - second("infer")).abs().max())
    other = second("step")
    return max(score, abs(float(first("step")) - float(other.mean() if other.ndim else other)))


def seconds(run: Callable[[str], Any], task: str, *, repeat: int, clock: str, device: str) -> float:
    """Return the median seconds of a task."""
    timer = time.process_time if clock == "cpu" else time.perf_counter
    found = []
    for _ in range(repeat):
        begin = timer()
        run(task)
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(timer() - begin)
    return sorted(found)[len(found) // 2]


def products(mode: str, aggregator: str, task: str, num_points: int) -> float:
    """Return the multiplications of a batch that the definition asks for."""
    square, n = WIDTH**2, num_points
    edges = (3 * n - 2) / n
    sage = 2 * square if aggregator != "lstm" else (2 + 4 + 4 * (edges - 1)) * square
    iteration = 4 * square + 3 * sage
    if mode == "multistep":
        total = 5 * n * (iteration + 5 * square)
    else:
        heads = n * (n + 1) / 2 * (5 if task == "infer" else 10) * square + (n * 5 * square if task == "infer" else 0)
        total = n * n * iteration + heads
    return BATCH * total * (3 if task == "step" else 1)


def product_rate(clock: str) -> float:
    """Return the multiplications of a second in a large matrix product, the best of five."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    times = [seconds(lambda _: a @ b, "", repeat=1, clock=clock, device="cpu") for _ in range(5)]
    return 1024**3 / min(times)


def compare(arguments: argparse.Namespace) -> None:
    """Print hitloom and the peer by mode, aggregation, task and size."""
    rate = product_rate(arguments.clock) if arguments.device == "cpu" else math.inf
    for mode in arguments.modes:
        for aggregator in arguments.aggregators if mode != "tree" else ("-",):
            kind = "mean" if aggregator == "-" else aggregator
            difference = equality(mode, kind, 12)
            if difference > 1e-5:
                raise SystemExit(f"{mode}, {kind}: results differ from one graph at a time by {difference:.1e}")
            rows = []
            for task in arguments.tasks:
                for num in arguments.points:
                    system = make(mode, kind, arguments.device)
                    settings = {"clock": arguments.clock, "device": arguments.device}
                    events = tracksters(num, BATCH, arguments.device)
                    run = ours(system, events)
                    run(task)
                    own = seconds(run, task, repeat=arguments.rounds, **settings)
                    part = events[: min(BATCH, arguments.alone)]
                    peer_run = alone(system, part)
                    alone(system, part[:1])(task)
                    peer = seconds(peer_run, task, repeat=arguments.peer_rounds, **settings) * BATCH / len(part)
                    torch.set_default_device("cpu")
                    bound = products(mode, kind, task, num) / rate
                    share = f"{bound / own:.2f}" if mode != "tree" and bound else "-"
                    rows.append([task, str(num), f"{own:.3f}", f"{peer:.3f}", f"{peer / own:.1f}", share])
                    print(f"  {mode} {kind} {rows[-1]}", file=sys.stderr, flush=True)
            print(f"\n{mode}, aggregation {aggregator}, {arguments.device}, threads {torch.get_num_threads()}\n")
            print_table(["task", "n", "hitloom s", "one at a time s", "ratio", "share of the bound"], rows)


def cost(arguments: argparse.Namespace) -> None:
    """Print the time of one batch against the number of layer clusters, and the exponent between sizes."""
    for mode in arguments.modes:
        rows, before = [], None
        for num in arguments.cost:
            run = ours(make(mode, "mean", arguments.device), tracksters(num, BATCH, arguments.device))
            run("infer")
            own = seconds(run, "infer", repeat=arguments.rounds, clock=arguments.clock, device=arguments.device)
            exponent = "-" if before is None else f"{math.log(own / before[1]) / math.log(num / before[0]):.2f}"
            rows.append([str(num), f"{own:.4f}", exponent])
            before = (num, own)
        print(f"\ninference, {mode}, aggregation mean, batches of {BATCH}\n")
        print_table(["n", "s", "exponent"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = ["autoregressive", "multistep", "tree"]
    parser.add_argument("--modes", nargs="+", default=modes, choices=modes)
    parser.add_argument("--aggregators", nargs="+", default=["mean", "lstm"], choices=["mean", "lstm"])
    parser.add_argument("--tasks", nargs="+", default=["step", "infer"], choices=["step", "infer"])
    parser.add_argument("--points", nargs="+", type=int, default=[10, 30, 100], help="layer clusters of a trackster")
    parser.add_argument("--cost", nargs="*", type=int, help="numbers of layer clusters: time of inference against them")
    parser.add_argument(
        "--alone", type=int, default=64, help="graphs that the peer runs; its time is scaled to a batch"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="10 layer clusters, one round: shows that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.quick:
        arguments.points, arguments.rounds, arguments.alone = [10], 1, 8
    if arguments.cost is None:
        compare(arguments)
        arguments.cost = [10, 20] if arguments.quick else [10, 30, 100]
    cost(arguments)


if __name__ == "__main__":
    main()
