"""Weights files of the reference code (PandoraPFA/LArMachineLearningData, shower_growing), read and written.

Such a file holds one state dict for each of three nets. What the parameters are called inside is not known for certain,
so they are taken by order and shape. Where names tell the role of a projection (q, k, v, o) or the number of a block
(``enc_1``, ``dec_2``, as in old files) they must agree, and weights that contradict them are refused. So an import is a
claim that must be checked on known scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from hitloom.errors import CheckpointError
from hitloom.systems.showers.config import ShowersConfig
from hitloom.systems.showers.system import Showers

SECTIONS = {
    "encoder": "net_intra_cluster_encoder_state_dict",
    "attention": "net_inter_cluster_attn_state_dict",
    "similarity": "net_inter_cluster_sim_state_dict",
}
"""Our part -> key of its weights in the file."""

_ROLES = {"query": "q", "key": "k", "value": "v", "out": "o"}
_ROLE = re.compile(r"(?:^|[._])(?:fc|w|lin|linear|proj)?_?([qkvo])(?:_?(?:proj|linear))?$", re.IGNORECASE)
_OLD_BLOCK = re.compile(r"^(enc|dec)_(\d+)\.")


def import_weights(state: Mapping[str, Tensor], config: ShowersConfig) -> tuple[Showers, list[str]]:
    """Return the system with the weights of a file of the reference, and what was left out of it.

    Parameters
    ----------
    state : mapping of name to tensor
        The tensors of all three nets in the order of the file, each name with the key of its net in front.
    config : ShowersConfig

    Raises
    ------
    CheckpointError
        When a net is missing, or its tensors do not fit by number, shape and what their names tell.
    """
    system = Showers(config)
    own = system.state_dict()
    for part, section in SECTIONS.items():
        found = {
            name.removeprefix(f"{section}."): value for name, value in state.items() if name.startswith(f"{section}.")
        }
        if not found:
            raise CheckpointError(f"weights of the original: no '{section}'; wanted {', '.join(SECTIONS.values())}")
        prefix = f"network.{part}."
        wanted = {name.removeprefix(prefix): value for name, value in own.items() if name.startswith(prefix)}
        match = _by_shape if part == "similarity" else _by_order
        for ours, theirs in match(wanted, found, section).items():
            own[prefix + ours] = found[theirs].float()
    own["inputs.epoch"].fill_(
        config.inputs.added_from_epoch
    )  # its training is over: appended columns are the true ones
    system.load_state_dict(own)
    used = tuple(f"{section}." for section in SECTIONS.values())
    return system, [name for name in state if not name.startswith(used)]


def reference_state(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts of the three nets under the keys of the reference, from the weights of the system."""
    return {
        section: {
            name.removeprefix(f"network.{part}."): value
            for name, value in weights.items()
            if name.startswith(f"network.{part}.")
        }
        for part, section in SECTIONS.items()
    }


def _by_order(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], section: str) -> dict[str, str]:
    """Return our name -> theirs, both in their order."""
    if len(ours) != len(theirs):
        raise CheckpointError(
            f"weights of the original: {section} has {len(theirs)} tensors, this model {len(ours)}; mend: depth, "
            "layer_norm of that net"
        )
    pairs = dict(zip(ours, theirs, strict=True))
    for mine, other in pairs.items():
        if ours[mine].shape != theirs[other].shape:
            raise CheckpointError(
                f"weights of the original: {section}.{other} has shape {tuple(theirs[other].shape)}, '{mine}' here "
                f"{tuple(ours[mine].shape)}; mend: the sizes of that model (model.encoder, model.attention)"
            )
        _agree(mine, other, section)
    return pairs


def _agree(mine: str, other: str, section: str) -> None:
    """Refuse a pair whose names say different things."""
    layer = mine.split(".")[-2] if "." in mine else ""
    role = _ROLE.search(other.rpartition(".")[0])
    if role is not None and layer in _ROLES and role[1].lower() != _ROLES[layer]:
        raise CheckpointError(
            f"weights of the original: {section}.{other} would become '{mine}', but its name says another projection; "
            "the file orders them otherwise and cannot be taken over"
        )
    block = _OLD_BLOCK.match(other)
    if block is not None:
        wanted = f"{'encoder' if block[1] == 'enc' else 'decoder'}.{int(block[2]) - 1}."
        if not mine.startswith(wanted):
            raise CheckpointError(
                f"weights of the original: {section}.{other} would become '{mine}', not part of '{wanted}*'; the file "
                "orders its blocks otherwise and cannot be taken over"
            )


def _by_shape(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], section: str) -> dict[str, str]:
    """Return our name -> theirs for the two networks of two layers, told apart by what their first layers read."""
    mine, others = list(ours), list(theirs)
    pairs: dict[str, str] = {}
    for start in range(0, len(mine), 4):
        block = mine[start : start + 4]
        shapes = [ours[name].shape for name in block]
        first = next(
            (at for at in range(0, len(others), 4) if [theirs[name].shape for name in others[at : at + 4]] == shapes),
            None,
        )
        if first is None or len(others) != len(mine):
            raise CheckpointError(
                f"weights of the original: {section} has no layers of the shapes {[tuple(s) for s in shapes]}; mend: "
                "model.similarity.hidden, model.attention.embedding, or a file without the dot-product head"
            )
        pairs |= dict(zip(block, others[first : first + 4], strict=True))
    return pairs
