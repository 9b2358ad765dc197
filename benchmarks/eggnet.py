"""EggNet at its published size: hitloom's formulation against the published one, same weights, same neighbour search.

The published formulation is an edge list: concatenate [x_s, x_t, e] for every edge, three Linear layers with layer
normalisation and SiLU, a softmax over the edges of each target and a sum by index, with autograd through every
iteration. hitloom keeps neighbours dense, splits the first Linear between points and edges, works in chunks that stay
in cache, fuses the passes between matrix products, and records only what reaches the loss.

    python benchmarks/eggnet.py                          # 97,000 points forward, 10,000 points a training step
    python benchmarks/eggnet.py --forward 10000 --step 2000

Every number comes from a fresh process. Wall seconds are what a user waits for; CPU seconds are what to compare on a
machine that does other work too. Peak is the resident set above what was there before the first pass.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from hitloom.event import Event
from hitloom.ops import knn
from hitloom.result import Scores
from hitloom.systems.eggnet import EggNet, EggNetConfig

RADII = (32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0, 820.0, 1020.0)


def toy_event(num_points: int) -> Event:
    """Helices through ten cylinders, ten points each, with random cell features."""
    g = torch.Generator().manual_seed(0)
    num_tracks = math.ceil(num_points / len(RADII))
    radius = torch.tensor(RADII).repeat(num_tracks)[:num_points]
    track = torch.arange(num_tracks).repeat_interleave(len(RADII))[:num_points]
    bend = torch.randn(num_tracks, generator=g) * 3e-4
    phi0 = (torch.rand(num_tracks, generator=g) * 2 - 1) * math.pi
    slope = torch.sinh(torch.randn(num_tracks, generator=g))
    phi = torch.remainder(phi0[track] + bend[track] * radius + math.pi, 2 * math.pi) - math.pi
    z = radius * slope[track]
    cells = torch.rand(num_points, 9, generator=g)
    same = track[1:] == track[:-1]
    first = torch.arange(num_points - 1)[same]
    return Event(
        pos=torch.stack([radius * phi.cos(), radius * phi.sin(), z], 1),
        x=torch.cat([radius[:, None], phi[:, None], z[:, None], cells], 1),
        feature_names=list(EggNetConfig().node_features),
        object_index=track,
        object_id=torch.arange(num_tracks),
        truth_edge_index=torch.stack([first, first + 1]),
        event_id=0,
    )


def published_mlp(mlp: torch.nn.Module, x: Tensor) -> Tensor:
    """The perceptron in plain torch calls."""
    for linear in mlp.linears[:-1]:
        x = F.linear(x, linear.weight, linear.bias)
        x = F.silu(F.layer_norm(x, x.shape[-1:]))
    last = mlp.linears[-1]
    return mlp.output_activation(F.linear(x, last.weight, last.bias))


def published_forward(system: EggNet, event: Event, graphs: list[Tensor] | None = None) -> Scores:
    """The published steps on an edge list, with the graphs given or its own."""
    config = system.config
    v = published_mlp(system.encoder, event.x / system.scale)
    x = published_mlp(system.node_0, v)
    for i, k in enumerate(config.neighbours_per_iteration):
        z = F.normalize(published_mlp(system.decoders[0], x), dim=1)
        source, target = knn(z.detach(), k).edge_index() if graphs is None else graphs[i]
        x, state = v, None
        for layer in system.blocks[0].layers:
            inputs = [x[source], x[target], *([] if state is None else [state])]
            out = published_mlp(layer.edge_network, torch.cat(inputs, 1))
            logit, state = out[:, -1], out[:, :-1]
            top = torch.full((len(x),), -torch.inf).scatter_reduce(0, target, logit.detach(), "amax")
            weight = torch.exp(logit - top[target])
            weight = weight / torch.zeros(len(x)).index_add(0, target, weight)[target]
            message = torch.zeros(len(x), state.shape[1]).index_add(0, target, weight[:, None] * state)
            x = published_mlp(layer.node_network, torch.cat([x, message], 1))
    return Scores(embedding=F.normalize(published_mlp(system.decoders[0], x), dim=1))


def products(config: EggNetConfig, num_points: int) -> float:
    """Floating point operations of the matrix products of one iteration's attention, split first layer."""
    h, w, k = config.node_rep_dim, config.edge_rep_dim, config.neighbours_per_iteration[0]
    eh, nh = config.edge_hidden, config.node_hidden
    total = 0.0
    for j in range(config.num_gnns_per_iteration):
        edge = (w * eh if j else 0) + eh * eh * (config.num_edge_layers - 2) + eh * (w + 1)
        node = 2 * h * eh + (h + w) * nh + nh * nh * (config.num_node_layers - 2) + nh * h
        total += 2.0 * num_points * (k * edge + node)
    return total


def peak_rate() -> float:
    """Operations per CPU second of a large matrix product."""
    a = torch.randn(2048, 2048)
    best = math.inf
    for _ in range(4):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * 2048**3 / best


def resident() -> float:
    """Resident set now, MiB."""
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 2**20


def measure(variant: str, task: str, num_points: int, repeat: int) -> dict[str, float]:
    """Run one variant in this process."""
    torch.manual_seed(0)
    system = EggNet(EggNetConfig(checkpoint=variant == "hitloom, checkpointing"))
    event, small = toy_event(num_points), toy_event(500)
    run = published_forward if variant == "published" else lambda s, e: s(e)

    def once(data: Event) -> None:
        if task == "forward":
            system.eval()
            with torch.no_grad():
                run(system, data)
            return
        system.train().zero_grad()
        system.loss(run(system, data), data).total.backward()

    once(small)  # compilation and warm-up
    before = resident()
    walls, cpus = [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        once(event)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {"wall": sorted(walls)[len(walls) // 2], "cpu": sorted(cpus)[len(cpus) // 2], "peak": peak}


def equality(num_points: int) -> float:
    """Largest difference between the two embeddings on the same graphs."""
    torch.manual_seed(0)
    system = EggNet(EggNetConfig()).eval()
    event = toy_event(num_points)
    with torch.no_grad():
        scores = system(event)
        other = published_forward(system, event, [graph.edge_index for graph in scores.graphs])
    return float((scores.embedding - other.embedding).abs().max())


def fresh(arguments: argparse.Namespace, *extra: str) -> dict[str, float]:
    """Run this file again in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(arguments.threads), "--repeat", str(arguments.repeat), *extra]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forward", type=int, default=97_000, help="points of the forward pass; 0 skips it")
    parser.add_argument("--step", type=int, default=10_000, help="points of the training step; 0 skips it")
    parser.add_argument("--quick", action="store_true", help="2,000 and 1,000 points: shows that it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="passes in each process; the median counts")
    parser.add_argument("--only", nargs=3, metavar=("VARIANT", "TASK", "POINTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        variant, task, points = arguments.only
        if variant == "equality":
            print(json.dumps({"difference": equality(int(points))}))
        elif variant == "peak":
            print(json.dumps({"rate": peak_rate()}))
        else:
            print(json.dumps(measure(variant, task, int(points), arguments.repeat)))
        return
    if arguments.quick:
        arguments.forward, arguments.step = 2000, 1000
    rate = fresh(arguments, "--only", "peak", "-", "0")["rate"]
    config = EggNetConfig()
    print(f"{arguments.threads} thread(s), matrix products reach {rate / 1e9:.0f} GFLOP per CPU second")
    for task, num_points in (("forward", arguments.forward), ("step", arguments.step)):
        if not num_points:
            continue
        largest = fresh(arguments, "--only", "equality", "-", str(min(num_points, 5000)))["difference"]
        print(f"\n{task}, {num_points} points; embeddings on the same graphs differ by at most {largest:.1e}")
        if largest > 1e-5:
            raise SystemExit("the two formulations do not agree: nothing to compare")
        print(f"{'variant':26s} {'wall s':>9s} {'CPU s':>9s} {'peak MiB':>9s} {'CPU ratio':>10s} {'of bound':>9s}")
        passes = config.num_iterations if task == "forward" else config.num_iterations + 2
        bound = products(config, num_points) * passes / rate
        reference: dict[str, float] | None = None
        variants = ["published", "hitloom"] + (["hitloom, checkpointing"] if task == "step" else [])
        for variant in variants:
            found = fresh(arguments, "--only", variant, task, str(num_points))
            reference = reference or found
            print(
                f"{variant:26s} {found['wall']:9.2f} {found['cpu']:9.2f} {found['peak']:9.0f} "
                f"{reference['cpu'] / found['cpu']:9.2f}x {bound / found['cpu']:9.2f}"
            )
        print(f"bound: {bound:.2f} CPU s for the attention's matrix products alone")


if __name__ == "__main__":
    main()
