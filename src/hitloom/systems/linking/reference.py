"""Weights of the original linking code (github.com/cms-patatrack/TICL-GNN-Trackster-Linking), by order and shape.

The names of its parameters are not known for certain, so they are not used: each block of ours (an encoder, a gate, a
convolution, a head) takes the first run of layers that is still free and has the shapes of the block, in any order
within it. Blocks of equal shapes (the two gates, the convolutions) follow each other as the description of the network
does. So an import is a claim that must be checked on known scores; the shapes alone cannot tell more.

Old weights expect the old self loops and times that are missing as -99: a configuration without them is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hitloom.errors import CheckpointError
from hitloom.systems.linking.config import LinkingConfig
from hitloom.systems.linking.system import Linking

_SCALERS = {"node_scaler": "network.inputs.node_scale", "edge_scaler": "network.inputs.edge_scale"}
OLD_FORM: dict[str, Any] = {"legacy_self_loops": True, "inputs": {"missing_time": "keep"}}


def import_weights(state: Mapping[str, Tensor], config: LinkingConfig) -> tuple[Linking, list[str]]:
    """Return the system with the weights of a state dict of the original, and what was left out of it.

    Parameters
    ----------
    state : mapping of name to tensor, in the order of the file
    config : LinkingConfig
        The sizes of the network; with the old form of self loops and missing times.

    Raises
    ------
    CheckpointError
        When the configuration is not of the old form, or a block finds no tensors of its shapes.
    """
    if not config.legacy_self_loops or config.inputs.missing_time != "keep":
        raise CheckpointError(
            "weights of the original: the model must have legacy_self_loops: true and inputs.missing_time: keep; mend: "
            "--set model.legacy_self_loops=true --set model.inputs.missing_time=keep"
        )
    system = Linking(config)
    own = system.state_dict()
    free = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    for word, target in _SCALERS.items():
        for name in [name for name in free if name.split(".")[-1] == word]:
            value = free.pop(name).flatten()
            if value.shape != own[target].shape:
                raise CheckpointError(
                    f"weights of the original: '{name}' has {len(value)} values, not {len(own[target])}"
                )
            own[target] = value.float()
            own["network.inputs.fitted"].fill_(True)
    theirs = list(layers_of(free).values())
    for place, block in blocks_of(own).items():
        wanted = sorted(_shapes(layer, own) for layer in block)
        num = len(block)
        starts = [
            first
            for first in range(len(theirs) - num + 1)
            if sorted(_shapes(layer, free) for layer in theirs[first : first + num]) == wanted
        ]
        if not starts:
            raise CheckpointError(
                f"weights of the original: no run of layers has the shapes {wanted} of '{place}'; mend: the sizes of "
                "that model (model.hidden, model.edge_hidden, model.num_iterations, ...)"
            )
        taken = theirs[starts[0] : starts[0] + num]
        del theirs[starts[0] : starts[0] + num]
        for layer in block:
            match = next(other for other in taken if _shapes(other, free) == _shapes(layer, own))
            taken.remove(match)
            own |= {target: free[name].float() for target, name in zip(layer, match, strict=True)}
    system.load_state_dict(own)
    return system, [name for layer in theirs for name in layer]


def layers_of(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the tensors of each layer (weight and bias), by its name, in their order."""
    layers: dict[str, list[str]] = {}
    for name in state:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def blocks_of(state: Mapping[str, Tensor]) -> dict[str, list[list[str]]]:
    """Return the layers of our network in their order, grouped by block."""
    blocks: dict[str, list[list[str]]] = {}
    for layer, names in layers_of(state).items():
        parts = layer.split(".")
        if parts[0] == "network" and parts[1] != "inputs":
            inner = parts[1] in ("gates", "blocks", "attention")
            blocks.setdefault(".".join(parts[1 : 3 if inner else 2]), []).append(names)
    return blocks


def _shapes(layer: list[str], state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(state[name].shape) for name in layer)
