"""The linking networks: hitloom against their plain formulation, same weights, same result.

The plain formulation is what the definition says (it is the oracle of the tests, ``tests/systems/linking_oracle.py``):
both nodes of every pair are gathered and joined with their difference, two Linear layers, a sum by index; attention
writes the table of all pairs; all of it is recorded by autograd. hitloom splits the first Linear of a pair between its
nodes, sorts the pairs by receiver, walks over them in chunks that stay in cache, and never writes the table.

    python benchmarks/linking.py                             # 300/1,000, 1,000/8,000 and 3,000/40,000 nodes/edges
    python benchmarks/linking.py --attention 1000 2000 4000 8000 16000

Every number comes from a fresh process. CPU seconds are what to compare on a machine that does other work too. Peak is
the resident set above what was there before the first pass. A step is forward, focal loss and backward, with dropout.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.losses.focal import focal_loss
from hitloom.nn.cosine_attention import CosineAttention
from hitloom.systems.linking import LinkingConfig, LinkNetwork

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "systems"))
from linking_oracle import attention, plain_forward

GNN = {"hidden": 64, "edge_hidden": 32, "num_iterations": 4, "dropout": 0.3}
PUNET = {"network": "punet", "hidden": 128, "edge_hidden": 64, "num_iterations": 4, "dropout": 0.3}
MODELS = {"gnn": GNN, "punet": PUNET, "punet, 32 neighbours": PUNET | {"attention": {"num_neighbours": 32}}}
VARIANTS = ("plain", "hitloom")


def toy(num_nodes: int, num_edges: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, 29), edges (2, E) outer above inner, and their features (E, 5), in no order."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(num_nodes, len(NODE_FEATURES), generator=g)
    x[:, 28] = x[:, 28].abs() * 5
    inner = torch.randint(num_nodes, (num_edges,), generator=g)
    step = torch.randint(1, max(2, num_nodes // 20), (num_edges,), generator=g)
    return x, torch.stack([(inner + step) % num_nodes, inner]), torch.rand(num_edges, 5, generator=g)


def make(name: str) -> LinkNetwork:
    """Return the network of a name."""
    torch.manual_seed(0)
    return LinkNetwork(build(LinkingConfig, MODELS[name]))


def logits(net: LinkNetwork, variant: str, x: Tensor, edges: Tensor, attr: Tensor) -> Tensor:
    """Return the logits (E,)."""
    if variant == "hitloom":
        return net(x, edges, attr).logit
    return plain_forward(net, x, edges.T.contiguous(), attr, drop=net.config.dropout if net.training else 0.0)[1][:, 0]


def once(net: LinkNetwork, variant: str, task: str, inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    """Do one forward pass, or one step of a training without its optimiser."""
    if task == "forward":
        with torch.no_grad():
            logits(net.eval(), variant, *inputs)
        return
    net.zero_grad()
    found = logits(net.train(), variant, *inputs)
    focal_loss(found, (inputs[2][:, 0] > 0.5).float()).backward()


def resident() -> float:
    """Resident set now, MiB."""
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * resource.getpagesize() / 2**20


def timed(call, repeat: int) -> dict[str, float]:
    """Return median wall and CPU seconds, and the peak above what is resident now."""
    before, walls, cpus = resident(), [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {"wall": sorted(walls)[repeat // 2], "cpu": sorted(cpus)[repeat // 2], "peak": peak}


def measure(model: str, variant: str, task: str, size: tuple[int, int], repeat: int) -> dict[str, float]:
    """Run one variant in this process."""
    net, inputs = make(model), toy(*size)
    once(net, variant, task, toy(100, 300))  # compilation and warm-up
    return timed(lambda: once(net, variant, task, inputs), repeat)


def measure_attention(variant: str, num_nodes: int, repeat: int) -> dict[str, float]:
    """Forward and backward of one attention over ``num_nodes`` nodes."""
    torch.manual_seed(0)
    layer = CosineAttention(width=128, num_heads=8, temperature=0.5)
    x = torch.randn(num_nodes, 128, requires_grad=True)

    def run(x: Tensor) -> None:
        (layer(x, None) if variant == "hitloom" else attention(layer, x, 0.5)).sum().backward()

    run(x[:50])
    return timed(lambda: run(x), repeat)


def equality(model: str, size: tuple[int, int]) -> float:
    """Return the largest difference of the logits from those of the plain formulation, over their size."""
    net, inputs = make(model).eval(), toy(*size)
    with torch.no_grad():
        own, plain = (logits(net, variant, *inputs) for variant in ("hitloom", "plain"))
    return float((own - plain).abs().max() / plain.abs().max())


def fresh(*only: str, threads: int, repeat: int) -> dict[str, float]:
    """Run this file again in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(threads), "--repeat", str(repeat), "--only", *only]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.strip().splitlines()[-1])


def compare_networks(arguments: argparse.Namespace) -> None:
    """Print time and memory of every model, task and size."""
    settings = {"threads": arguments.threads, "repeat": arguments.repeat}
    for model in arguments.models:
        variants = VARIANTS if "neighbours" not in model else VARIANTS[1:]
        if len(variants) > 1:
            largest = fresh("equality", model, "hitloom", "-", "1000,8000", **settings)["difference"]
            if largest > 1e-4:
                raise SystemExit(f"{model}: logits differ from the plain formulation by {largest:.1e}")
        print(f"\n| {model} | nodes / edges | wall s | CPU s | peak MiB | CPU ratio | memory ratio |")
        print("|---|---|---|---|---|---|---|")
        for task in arguments.tasks:
            for size in arguments.sizes:
                found = {v: fresh("network", model, v, task, size, **settings) for v in variants}
                base = found.get("plain", found["hitloom"])
                for variant, values in found.items():
                    ratios = f"{base['cpu'] / values['cpu']:.2f} | {base['peak'] / max(values['peak'], 0.1):.1f}"
                    print(
                        f"| {task}, {variant} | {size.replace(',', ' / ')} | {values['wall']:.3f} | "
                        f"{values['cpu']:.3f} | {values['peak']:.0f} | {ratios} |",
                        flush=True,
                    )


def compare_attention(arguments: argparse.Namespace) -> None:
    """Print memory of one attention against the number of nodes."""
    print("\n| nodes | plain: CPU s | peak MiB | hitloom: CPU s | peak MiB |")
    print("|---|---|---|---|---|")
    for num_nodes in arguments.attention:
        found = [
            fresh("attention", "-", v, "-", f"{num_nodes},0", threads=arguments.threads, repeat=arguments.repeat)
            for v in VARIANTS
        ]
        cells = " | ".join(f"{values['cpu']:.3f} | {values['peak']:.0f}" for values in found)
        print(f"| {num_nodes} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["300,1000", "1000,8000", "3000,40000"], metavar="NODES,EDGES")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--tasks", nargs="+", default=["forward", "step"], choices=["forward", "step"])
    parser.add_argument("--attention", nargs="*", type=int, help="numbers of nodes: one attention layer alone")
    parser.add_argument("--quick", action="store_true", help="300 nodes and 1,000 edges: shows that it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="passes in each process; the median counts")
    parser.add_argument("--only", nargs=5, metavar=("WHAT", "MODEL", "VARIANT", "TASK", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        what, model, variant, task, text = arguments.only
        size = tuple(int(part) for part in text.split(","))
        if what == "equality":
            found = {"difference": equality(model, size)}
        elif what == "attention":
            found = measure_attention(variant, size[0], arguments.repeat)
        else:
            found = measure(model, variant, task, size, arguments.repeat)
        print(json.dumps(found))
        return
    if arguments.quick:
        arguments.sizes, arguments.repeat = ["300,1000"], 1
    if arguments.attention is None:
        compare_networks(arguments)
        arguments.attention = [500] if arguments.quick else [1000, 2000, 4000]
    compare_attention(arguments)


if __name__ == "__main__":
    main()
