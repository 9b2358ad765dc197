"""The table of docs/close_showers.md: what settings of the simulation of close-by showers make of the labels.

python docs/scripts/close_showers_table.py [COLLISIONS]
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch

from hitloom.config import build
from hitloom.event import Event
from hitloom.simulate.close_showers import CloseShowersConfig, simulate_close_showers

CASES: dict[str, dict[str, Any]] = {
    **{f"`overlap` {overlap}": {"overlap": overlap} for overlap in (0, 0.1, 0.2, 0.5, 0.75, 1)},
    "`species: [photon, pion]`": {"species": ["photon", "pion"]},
    "`species: [pion]`": {"species": ["pion"]},
    "`background.density: 0`": {"background": {"density": 0.0}},
    "`background.density: 0.06`": {"background": {"density": 0.06}},
    "`iterations: [later, recent]`": {"iterations": ["later", "recent"]},
    "`majority: energy`": {"majority": "energy"},
    "`overlap` 1, `group_size: 3`": {"overlap": 1, "group_size": 3},
}
HEADER = (
    "to prune", "their energy", "tracksters without", "with more than 10 %", "layer clusters: 10, 50, 90 %, largest",
    "to prune below a pruned, a kept leader", "tracksters of a collision", "CPU ms each",
)  # fmt: skip


def row_of(events: list[Event], num_collisions: int, seconds: float) -> list[str]:
    """Return the cells of one row."""
    label, energy = (torch.cat([event[name] for event in events]).double() for name in ("point_y", "energy"))
    leader, follower = (torch.cat([event.point_y[event.edge_index[row]] for event in events]) for row in (0, 1))
    share = np.array([float(event.point_y.mean()) for event in events])
    low, middle, high, largest = np.quantile([event.num_points for event in events], [0.1, 0.5, 0.9, 1]).astype(int)
    below = [float(follower[leader == value].mean()) for value in (1, 0)]
    return [
        f"{float(label.mean()):.3f}",
        f"{float((label * energy).sum() / energy.sum()):.3f}",
        f"{(share == 0).mean():.2f}",
        f"{(share > 0.1).mean():.2f}",
        f"{low}, {middle}, {high}, {largest}",
        f"{below[0]:.2f}, {below[1]:.3f}",
        f"{len(events) / num_collisions:.1f}",
        f"{1000 * seconds / len(events):.1f}",
    ]


def main() -> None:
    num_collisions = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    torch.set_num_threads(1)
    list(simulate_close_showers(CloseShowersConfig(), num_events=1, seed=0))  # the compiler's time is not counted
    print("| settings | " + " | ".join(HEADER) + " |\n|" + "---|" * (len(HEADER) + 1))
    for name, values in CASES.items():
        begin = time.process_time()
        config = build(CloseShowersConfig, values)
        events = list(simulate_close_showers(config, num_events=num_collisions, seed=5))
        cells = row_of(events, num_collisions, time.process_time() - begin)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
