"""Run a staged tracking chain that hitloom exported to ONNX, with numpy, scipy and onnxruntime alone.

    hitloom export RUN --stage all --to onnx -o chain          # once, with hitloom
    python run_exatrkx_onnx.py chain event.npz -o tracks.npz   # anywhere

event.npz holds N points:
    features       (N, F) float, unscaled, columns named by
    feature_names  (F,) text
    pos            (N, 3) float, mm
    volume, layer, module   (N,) int, where the graph leaves out edges within a module
    edge_index     (2, E) int, where the chain has no embedding (a module map made the graph)
tracks.npz holds:
    labels         (N,) int64, the track of each point, -1 = none
    edge_index     (2, E) int64, edges that the graph network judged, inner point first
    edge_score     (E,) float32, their probabilities

Tracks are connected components of the edges above the score cut.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

FROM_PHI = {"cos_phi": np.cos, "sin_phi": np.sin}


def choose_features(event: dict[str, np.ndarray], settings: dict[str, Any]) -> np.ndarray:
    """Return the features (N, F) of a stage; a missing one that is optional is a column of zeros."""
    names = [str(name) for name in event["feature_names"]]
    columns = []
    for name in settings["features"]:
        if name in names:
            columns.append(event["features"][:, names.index(name)])
        elif name in FROM_PHI and "phi" in names:
            columns.append(FROM_PHI[name](event["features"][:, names.index("phi")].astype(np.float32)))
        elif name in settings["optional"]:
            columns.append(np.zeros(len(event["features"])))
        else:
            raise SystemExit(f"feature '{name}' is needed and not among {names}")
    return np.stack(columns, 1).astype(np.float32)


def outwards(edges: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """Return the edges (2, E) of any direction, each once, inner point first, sorted by the outer one.

    Of two points at one distance from the origin the one with the smaller (z, y, x) is the inner one.
    """
    distance = np.square(pos.astype(np.float64)).sum(1)
    rank = np.empty(len(pos), np.int64)
    rank[np.lexsort((pos[:, 0], pos[:, 1], pos[:, 2], distance))] = np.arange(len(pos))
    a, b = edges[:, edges[0] != edges[1]]
    swap = rank[a] > rank[b]
    inner, outer = np.where(swap, b, a), np.where(swap, a, b)
    key = np.unique(outer * len(pos) + inner)
    return np.stack([key % max(1, len(pos)), key // max(1, len(pos))])


def build_graph(embedding: np.ndarray, event: dict[str, np.ndarray], settings: dict[str, Any]) -> np.ndarray:
    """Return the edges (2, E) between points within the radius, at most so many nearest of each."""
    num_points = len(embedding)
    if num_points < 2:
        return np.zeros((2, 0), np.int64)
    most = min(settings["max_neighbours"], num_points - 1)
    bound = np.nextafter(np.float32(settings["radius"]), np.float32(np.inf))
    _, found = cKDTree(embedding).query(embedding, k=np.arange(1, most + 2), distance_upper_bound=float(bound))
    centre = np.repeat(np.arange(num_points)[:, None], most + 1, 1)
    usable = (found < num_points) & (found != centre)
    usable &= np.cumsum(usable, 1) <= most
    edges = outwards(np.stack([centre[usable], found[usable]]), event["pos"])
    if settings["forbid_same_module"]:
        same = np.ones(edges.shape[1], bool)
        for name in ("volume", "layer", "module"):
            same &= event[name][edges[0]] == event[name][edges[1]]
        edges = edges[:, ~same]
    return edges


def group(edges: np.ndarray, num_points: int, min_size: int) -> np.ndarray:
    """Return the connected component (N,) of each point, numbered by its lowest point; -1 if it is too small."""
    graph = coo_matrix((np.ones(edges.shape[1], np.int8), (edges[0], edges[1])), shape=(num_points, num_points))
    _, found = connected_components(graph, directed=False)
    large = (np.bincount(found) >= min_size)[found]
    _, first, number = np.unique(found[large], return_index=True, return_inverse=True)
    labels = np.full(num_points, -1, np.int64)
    labels[large] = np.argsort(np.argsort(first))[number]
    return labels


class Chain:
    """The stages of an exported chain.

    Parameters
    ----------
    folder : Path
        Holds ``chain.json`` and a file for each stage.
    num_threads : int
    """

    def __init__(self, folder: Path, num_threads: int = 1) -> None:
        content = json.loads((folder / "chain.json").read_text(encoding="utf-8"))
        if content.get("format") != "hitloom-chain" or content["to"] != "onnx" or content["form"] != "hitloom":
            raise SystemExit(f"{folder}: holds no chain exported to ONNX in hitloom's own form")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self.stages: dict[str, dict[str, Any]] = {stage["name"]: stage for stage in content["stages"]}
        self.sessions = {
            name: onnxruntime.InferenceSession(str(folder / stage["file"]), options, providers=["CPUExecutionProvider"])
            for name, stage in self.stages.items()
            if stage["inputs"]
        }

    def settings(self, name: str) -> dict[str, Any]:
        """Return what a stage must know besides its tensors."""
        return self.stages[name]["settings"]

    def run(self, name: str, event: dict[str, np.ndarray], edges: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the output of a stage."""
        given = {
            "features": choose_features(event, self.settings(name)),
            "pos": event["pos"].astype(np.float32),
            "edge_index": edges.astype(np.int64),
            "edge_score": scores,
        }
        wanted = [tensor["name"] for tensor in self.stages[name]["inputs"]]
        return self.sessions[name].run(None, {tensor: given[tensor] for tensor in wanted})[0]

    def __call__(self, event: dict[str, np.ndarray], score_cut: float | None = None) -> dict[str, np.ndarray]:
        """Return labels, edges and scores of an event."""
        nothing = np.zeros(0, np.float32)
        if "embedding" in self.stages:
            embedding = self.run("embedding", event, np.zeros((2, 0)), nothing)
            edges = build_graph(embedding, event, self.settings("embedding")["graph"])
        elif "edge_index" in event:
            edges = outwards(event["edge_index"], event["pos"])
        else:
            raise SystemExit("the chain has no embedding: 'edge_index' is needed in the event")
        scores = nothing
        if "filter" in self.stages:
            scores = self.run("filter", event, edges, nothing)
            keep = scores > np.float32(self.settings("filter")["cut"])
            edges, scores = edges[:, keep], scores[keep]
        scores = self.run("gnn", event, edges, scores)
        cut, min_size = self.segmentation(score_cut)
        labels = group(edges[:, scores > np.float32(cut)], len(event["pos"]), min_size)
        return {"labels": labels, "edge_index": edges, "edge_score": scores}

    def segmentation(self, score_cut: float | None) -> tuple[float, int]:
        """Return score cut and smallest size; the cut of another method than components means something else."""
        chosen = self.settings("gnn")["segmentation"]
        if score_cut is not None:
            return score_cut, chosen["min_size"]
        if chosen["method"] == "components":
            return chosen["score_cut"], chosen["min_size"]
        print(f"the chain groups by '{chosen['method']}', this script by components: score cut 0.5", file=sys.stderr)
        return 0.5, chosen["min_size"]


def main() -> None:
    """Read an event, run the chain, write the tracks."""
    parser = argparse.ArgumentParser(description="Run an exported chain on one event.")
    parser.add_argument("chain", type=Path, help="folder with chain.json")
    parser.add_argument("event", type=Path, help=".npz with features, feature_names, pos")
    parser.add_argument("-o", "--output", type=Path, default=Path("tracks.npz"))
    parser.add_argument("--score-cut", type=float, help="of the components; default that of the chain")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with np.load(options.event, allow_pickle=False) as file:
        event = dict(file)
    result = Chain(options.chain, options.threads)(event, options.score_cut)
    part = options.output.with_name(f".{options.output.name}.part.npz")
    np.savez(part, **result)
    os.replace(part, options.output)
    labels = result["labels"]
    print(f"{options.output}: {labels.max(initial=-1) + 1} tracks of {len(labels)} points")


if __name__ == "__main__":
    main()
