"""Interaction network on edges: hitloom against the plain formulation and against PyG's message passing, same weights.

The plain formulation is what its definition says: gather the two nodes of every edge, join them with the edge, three
Linear layers with layer normalisation and SiLU, a sum and a maximum by index, all recorded by autograd. PyG's is the
same in its ``MessagePassing``. hitloom splits the first Linear between nodes and edges, sorts the edges by target and
walks over them in chunks that stay in cache, with compiled passes between matrix products.

    python benchmarks/interaction.py                    # 10,000 nodes and 100,000 edges, then 100,000 and 1,000,000
    python benchmarks/interaction.py --sizes 10000,100000 --threads 2

Edges are fed in one direction. Every number comes from a fresh process. Wall seconds are what a user waits for; CPU
seconds are what to compare on a machine that does other work too. Peak is the resident set above what was there
before the first pass.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from hitloom.nn import InteractionNetwork

NUM_LAYERS = 10
VARIANTS = ("plain", "PyG", "hitloom", "hitloom, checkpointing")


def toy_graph(num_nodes: int, num_edges: int) -> tuple[Tensor, Tensor]:
    """Nodes ordered by layer and azimuth; edges to the next layer within a narrow window of azimuth, in any order."""
    g = torch.Generator().manual_seed(0)
    per_layer = num_nodes // NUM_LAYERS
    layer = torch.arange(NUM_LAYERS).repeat_interleave(per_layer)
    phi = (torch.rand(NUM_LAYERS, per_layer, generator=g) * 2 - 1).sort(1).values.flatten()
    x = torch.stack([layer / NUM_LAYERS, phi, torch.randn(len(layer), generator=g)], 1)
    source = torch.randint(per_layer * (NUM_LAYERS - 1), (num_edges,), generator=g)
    window = max(2, per_layer // 50)
    step = torch.randint(-window, window, (num_edges,), generator=g)
    target = (layer[source] + 1) * per_layer + (source % per_layer + step) % per_layer
    return x, torch.stack([source, target])


def plain_mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    """The perceptron in plain torch calls."""
    for linear, norms in zip(mlp.linears[:-1], mlp.norms, strict=True):
        x = F.linear(x, linear.weight, linear.bias)
        x = F.silu(F.layer_norm(x, x.shape[-1:], norms[0].weight, norms[0].bias))
    last = mlp.linears[-1]
    return F.linear(x, last.weight, last.bias)


def plain_forward(net: InteractionNetwork, x: Tensor, edge_index: Tensor) -> Tensor:
    """The definition, on an edge list."""
    source, target = edge_index

    def joined(x: Tensor, *edges: Tensor) -> Tensor:
        return torch.cat([x.index_select(0, source), x.index_select(0, target), *edges], 1)

    x = plain_mlp(net.node_encoder, x)
    e = plain_mlp(net.edge_encoder, joined(x))
    place = target[:, None].expand_as(e)
    for _ in range(net.num_iterations):
        top = torch.zeros_like(x).scatter_reduce(0, place, e, "amax", include_self=False)
        total = torch.zeros_like(x).index_add(0, target, e)
        new_x = plain_mlp(net.node_networks[0], torch.cat([x, top, total], 1)) + x
        e = plain_mlp(net.edge_networks[0], joined(x, e)) + e
        x = new_x
    return plain_mlp(net.classifier, joined(x, e))[:, 0]


class PyGStep(MessagePassing):
    """One iteration in PyG's message passing."""

    def __init__(self, net: InteractionNetwork) -> None:
        super().__init__(aggr=["max", "sum"])
        self.net = net

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        message = self.propagate(edge_index, e=e, size=(len(x), len(x)))
        new_e = self.edge_updater(edge_index, x=x, e=e)
        return plain_mlp(self.net.node_networks[0], torch.cat([x, message], 1)) + x, new_e

    def message(self, e: Tensor) -> Tensor:
        return e

    def edge_update(self, x_i: Tensor, x_j: Tensor, e: Tensor) -> Tensor:
        return plain_mlp(self.net.edge_networks[0], torch.cat([x_j, x_i, e], 1)) + e


def pyg_forward(net: InteractionNetwork, x: Tensor, edge_index: Tensor) -> Tensor:
    """The same through :class:`PyGStep`."""
    source, target = edge_index
    x = plain_mlp(net.node_encoder, x)
    e = plain_mlp(net.edge_encoder, torch.cat([x[source], x[target]], 1))
    step = PyGStep(net)
    for _ in range(net.num_iterations):
        x, e = step(x, edge_index, e)
    return plain_mlp(net.classifier, torch.cat([x[source], x[target], e], 1))[:, 0]


def products(hidden: int, iterations: int, num_nodes: int, num_edges: int) -> float:
    """Floating point operations of the matrix products of a forward pass, first layers split."""
    encoder = num_edges * 2 + num_nodes * (2 + 2)
    step = num_edges * 3 + num_nodes * (2 + 3 + 2)
    classifier = num_edges * 3 + num_nodes * 2
    return 2.0 * hidden * hidden * (encoder + iterations * step + classifier)


def peak_rate() -> float:
    """Operations per CPU second of a large matrix product."""
    a = torch.randn(2048, 2048)
    best = math.inf
    for _ in range(6):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * 2048**3 / best


def resident() -> float:
    """Resident set now, MiB."""
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 2**20


def make(variant: str, arguments: argparse.Namespace) -> tuple[InteractionNetwork, Callable[..., Tensor]]:
    """Return the network and the function that runs it."""
    torch.manual_seed(0)
    net = InteractionNetwork(
        num_node_features=3, hidden=arguments.hidden, num_iterations=arguments.iterations, num_node_layers=3,
        num_edge_layers=3, both_directions=False, checkpointing=variant.endswith("checkpointing"),
    )  # fmt: skip
    return net, {"plain": plain_forward, "PyG": pyg_forward}.get(variant, lambda net, x, edges: net(x, edges))


def measure(variant: str, task: str, size: tuple[int, int], arguments: argparse.Namespace) -> dict[str, float]:
    """Run one variant in this process."""
    net, run = make(variant, arguments)
    graph, small = toy_graph(*size), toy_graph(500, 3000)

    def once(x: Tensor, edges: Tensor) -> None:
        if task == "forward":
            with torch.no_grad():
                run(net, x, edges)
            return
        net.zero_grad()
        logit = run(net, x, edges)
        F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit)).backward()

    once(*small)  # compilation and warm-up
    before = resident()
    walls, cpus = [], []
    for _ in range(arguments.repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        once(*graph)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {"wall": sorted(walls)[len(walls) // 2], "cpu": sorted(cpus)[len(cpus) // 2], "peak": peak}


def equality(variant: str, size: tuple[int, int], arguments: argparse.Namespace) -> float:
    """Largest difference of the logits from those of the plain formulation."""
    graph = toy_graph(*size)
    net, run = make(variant, arguments)
    with torch.no_grad():
        return float((run(net, *graph) - plain_forward(net, *graph)).abs().max())


def fresh(arguments: argparse.Namespace, *only: str) -> dict[str, float]:
    """Run this file again in a process of its own."""
    command = [sys.executable, __file__]
    for name in ("threads", "repeat", "hidden", "iterations"):
        command += [f"--{name}", str(getattr(arguments, name))]
    answer = subprocess.run([*command, "--only", *only], check=True, capture_output=True, text=True).stdout
    return json.loads(answer.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["10000,100000", "100000,1000000"], metavar="NODES,EDGES")
    parser.add_argument("--tasks", nargs="+", default=["forward", "step"], choices=["forward", "step"])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--quick", action="store_true", help="1,000 nodes and 10,000 edges: shows that it runs")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="passes in each process; the median counts")
    parser.add_argument("--only", nargs=3, metavar=("VARIANT", "TASK", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        variant, task, text = arguments.only
        size = tuple(int(part) for part in text.split(","))
        if task == "equality":
            print(json.dumps({"difference": equality(variant, size, arguments)}))
        elif task == "peak":
            print(json.dumps({"rate": peak_rate()}))
        else:
            print(json.dumps(measure(variant, task, size, arguments)))
        return
    if arguments.quick:
        arguments.sizes = ["1000,10000"]
    rate = fresh(arguments, "-", "peak", "0,0")["rate"]
    print(
        f"width {arguments.hidden}, {arguments.iterations} iterations, {arguments.threads} thread(s); matrix products "
        f"reach {rate / 1e9:.0f} GFLOP per CPU second"
    )
    for variant in arguments.variants:
        largest = fresh(arguments, variant, "equality", "1000,10000")["difference"]
        if largest > 1e-4:
            raise SystemExit(
                f"{variant}: logits differ from the plain formulation by {largest:.1e}: nothing to compare"
            )
    for size in arguments.sizes:
        for task in arguments.tasks:
            num_nodes, num_edges = (int(part) for part in size.split(","))
            passes = 1 if task == "forward" else 3
            bound = products(arguments.hidden, arguments.iterations, num_nodes, num_edges) * passes / rate
            print(f"\n{task}, {num_nodes} nodes, {num_edges} edges; matrix products alone {bound:.2f} CPU s")
            print(f"{'variant':26s} {'wall s':>9s} {'CPU s':>9s} {'peak MiB':>9s} {'CPU ratio':>10s} {'of bound':>9s}")
            reference: dict[str, float] | None = None
            for variant in arguments.variants:
                if task == "forward" and variant.endswith("checkpointing"):
                    continue
                found = fresh(arguments, variant, task, size)
                reference = reference or found
                print(
                    f"{variant:26s} {found['wall']:9.2f} {found['cpu']:9.2f} {found['peak']:9.0f} "
                    f"{reference['cpu'] / found['cpu']:9.2f}x {bound / found['cpu']:9.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
