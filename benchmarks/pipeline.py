"""The whole staged pipeline against the number of hits: seconds by stage, edges, peak memory, and the exponent.

Simulated events (ttbar with pile-up, hits of all momenta, noise) of growing pile-up go through a chain; each in a
process of its own, so that peaks of memory do not mix. ``--clock cpu`` counts the time of all processors.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _bench import parser, print_table, set_threads

PILEUPS = (5.0, 15.0, 40.0, 90.0, 200.0)


def measure(checkpoint: str, store: str, clock: str, threads: int) -> dict[str, float]:
    """Reconstruct every event of a store once after a warm-up; return sums over the stages, hits, edges and memory."""
    from hitloom.data.store import EventStore
    from hitloom.training.reconstruct import Reconstructor

    set_threads(threads)
    events = EventStore(store)
    reconstruct = Reconstructor(checkpoint, accelerator="cpu")
    reconstruct(events[0])
    now = time.process_time if clock == "cpu" else time.perf_counter
    begin = now()
    results = [reconstruct(event) for event in events]
    seconds = (now() - begin) / len(results)
    graphs = {graph.name: graph.edge_index.shape[1] for graph in reconstruct.graphs(events[0])}
    stages = {name: sum(r.timing.get(name, 0.0) for r in results) / len(results) for name in results[0].timing}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"hits": float(events.num_points.mean()), "seconds": seconds, "peak_gib": peak, "stages": stages} | graphs


def main() -> None:
    """Simulate, measure and print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--checkpoint", default="exatrkx-small", help="a run folder, a checkpoint or shipped weights")
    options.add_argument("--measure", metavar="STORE", help="measure one store and print JSON")
    arguments = options.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.checkpoint, arguments.measure, arguments.clock, arguments.threads)))
        return
    from hitloom.simulate.store import simulate_to_store
    from hitloom.simulate.tracker import TrackerConfig

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for pileup in PILEUPS[:2] if arguments.quick else PILEUPS:
            store = Path(folder) / f"mu{pileup:g}"
            simulate_to_store(store, TrackerConfig(pileup=pileup), num_events=2, seed=11, num_processes=1)
            command = [sys.executable, __file__, "--measure", str(store), "--checkpoint", arguments.checkpoint]
            command += ["--clock", arguments.clock, "--threads", str(arguments.threads)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append((pileup, json.loads(answer.stdout.splitlines()[-1])))
    names = [name for name in found[0][1]["stages"] if name not in ("total", "network", "grouping", "cuts")]
    rows = []
    for pileup, item in found:
        stages = [f"{item['stages'].get(name, 0.0):.2f}" for name in names]
        edges = [f"{item.get(name, 0):,}" for name in ("graph", "filter", "gnn")]
        rows.append(
            [
                f"{pileup:g}",
                f"{item['hits']:,.0f}",
                *edges,
                f"{item['seconds']:.2f}",
                *stages,
                f"{item['peak_gib']:.2f}",
            ]
        )
    header = ["pile-up", "hits", "edges of the graph", "after the filter", "above the cut", f"{arguments.clock} s"]
    print_table([*header, *[f"{name} (wall s)" for name in names], "peak GiB"], rows)
    first, last = found[0][1], found[-1][1]
    power = math.log(last["seconds"] / first["seconds"]) / math.log(last["hits"] / first["hits"])
    print(f"time grows as hits to the power {power:.2f} between {first['hits']:,.0f} and {last['hits']:,.0f} hits")


if __name__ == "__main__":
    main()
