"""Checkpoints: plain dictionaries of tensors and simple types, written atomically and read with ``weights_only=True``.

A checkpoint alone is enough afterwards: it holds the resolved configuration as YAML text, the versions, the git commit,
the feature names and the fingerprint of the data. Shipped weights are ``.safetensors`` files with the same header in
their metadata; they load wherever a checkpoint does, but hold no optimiser and cannot be resumed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from hitloom._version import __version__
from hitloom.config import dump_yaml, parse_yaml
from hitloom.errors import CheckpointError, nearest
from hitloom.systems.base import System
from hitloom.training.run_config import RECIPES, RunConfig, build_run_config

log = logging.getLogger("hitloom")

FORMAT = "hitloom-checkpoint"
FORMAT_VERSION = 1
WEIGHTS = RECIPES / "weights"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes
    ----------
    header : dict
        format, format_version, system, config (YAML text), hitloom, torch, git_commit, feature_names,
        data_fingerprint, epoch (finished epochs), metrics.
    weights : dict of tensors
        State of the system.
    training : dict
        State of optimiser, schedule and loop; empty in shipped weights.
    path : Path
        The file it came from.
    """

    header: dict[str, Any]
    weights: dict[str, Tensor]
    training: dict[str, Any] = field(default_factory=dict)
    path: Path = Path()

    @property
    def config(self) -> RunConfig:
        """The resolved configuration of the run that wrote the checkpoint."""
        where = f"{self.path}: configuration in the checkpoint"
        return build_run_config(parse_yaml(self.header["config"], where=where), where=where)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any weight and with the model's settings."""
        digest = hashlib.sha256(self.header["system"].encode())
        model = parse_yaml(self.header["config"], where=str(self.path)).get("model", {})
        digest.update(json.dumps(model, sort_keys=True, default=str).encode())
        for name in sorted(self.weights):
            tensor = self.weights[name].detach().cpu().contiguous()
            digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def build_system(self) -> System:
        """Return the system with these weights, in evaluation mode on the CPU."""
        from hitloom.registry import get_system

        system = get_system(self.header["system"])(self.config.model)
        load_weights(system, self)
        return system.eval()


def make_header(config: RunConfig, system: System, *, data_fingerprint: str, epoch: int, metrics: Mapping[str, float]):
    """Return the header of a checkpoint: everything but tensors and loop state."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "system": config.system,
        "config": config.to_yaml(),
        "hitloom": __version__,
        "torch": str(torch.__version__),
        "git_commit": git_commit(),
        "feature_names": list(system.needs.features),
        "data_fingerprint": data_fingerprint,
        "epoch": epoch,
        "metrics": {name: float(value) for name, value in metrics.items()},
    }


@lru_cache(maxsize=1)
def git_commit() -> str:
    """Return the commit of the checkout that hitloom runs from, empty outside one."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def save_checkpoint(path: Path, *, header: Mapping[str, Any], weights: Mapping[str, Tensor], training: Mapping) -> None:
    """Write a checkpoint so that ``path`` holds either the old file or the whole new one, never a part."""
    content = {"header": dict(header), "weights": dict(weights), "training": dict(training)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with _atomic(path) as file:
        torch.save(content, file)


@contextmanager
def _atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes the name ``path`` once it is whole and on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint or shipped weights.

    Raises
    ------
    CheckpointError
        When the file is missing, damaged, no checkpoint of hitloom, or of another format version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    header = content.get("header") if isinstance(content, dict) else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of hitloom (its header has no format '{FORMAT}')")
    if header.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {header.get('format_version')}, written by hitloom {header.get('hitloom')}; "
            f"hitloom {__version__} reads format {FORMAT_VERSION}"
        )
    return Checkpoint(header=header, weights=content["weights"], training=content["training"], path=path)


def read_torch(path: Path) -> Any:
    """Read a file of tensors and simple types; nothing in it is run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: damaged, or not a checkpoint of hitloom: {reason[:160]}") from None


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        header = json.loads(metadata.get("hitloom", "{}"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: damaged, or not weights of hitloom: {str(error)[:160]}") from None
    return {"header": header, "weights": weights, "training": {}}


def export_weights(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write the weights of a checkpoint as ``.safetensors`` with its header in the metadata, atomically.

    The place of the training data is left out: it is a path of one machine.
    """
    from safetensors.torch import save

    path = Path(path)
    values = parse_yaml(checkpoint.header["config"], where=str(checkpoint.path))
    values["data"]["store"] = None
    header = checkpoint.header | {"config": dump_yaml(values)}
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.weights.items()}
    with _atomic(path) as file:
        file.write(save(weights, metadata={"hitloom": json.dumps(header)}))


def load_weights(system: System, checkpoint: Checkpoint, *, strict: bool = True) -> None:
    """Load the weights into a system; without ``strict`` those that fit by name and shape, and say what is left.

    Raises
    ------
    CheckpointError
        When the checkpoint belongs to another system or to another architecture; names the first difference.
    """
    where, own = checkpoint.path, system.state_dict()
    if checkpoint.header["system"] != system.name:
        raise CheckpointError(
            f"{where}: holds weights of system '{checkpoint.header['system']}', not of '{system.name}'"
        )
    missing = sorted(set(own) - set(checkpoint.weights))
    unknown = sorted(set(checkpoint.weights) - set(own))
    wrong = [name for name in own if name in checkpoint.weights and own[name].shape != checkpoint.weights[name].shape]
    if not strict and len(missing) + len(wrong) < len(own):
        fitting = {name: value for name, value in checkpoint.weights.items() if name not in {*unknown, *wrong}}
        if missing or unknown or wrong:
            log.warning(
                f"{where}: {len(fitting)} of {len(own)} tensors taken over; {len(missing) + len(wrong)} start fresh "
                f"({_some([*missing, *wrong])}), {len(unknown)} are left out ({_some(unknown)})"
            )
        system.load_state_dict(fitting, strict=False)
        return
    if missing or unknown or wrong:
        if wrong:
            name = wrong[0]
            first = f"'{name}' has shape {tuple(checkpoint.weights[name].shape)}, wanted {tuple(own[name].shape)}"
        else:
            first = f"'{missing[0]}' is missing" if missing else f"'{unknown[0]}' is not in the model"
        raise CheckpointError(
            f"{where}: weights of another architecture ({len(missing)} missing, {len(unknown)} unknown, "
            f"{len(wrong)} of another shape; first: {first}); use the model settings of that run"
        )
    system.load_state_dict(checkpoint.weights)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or "none"


def newest_checkpoint(folder: str | Path) -> Path:
    """Return the most recently written ``*.ckpt`` under a folder, searched recursively.

    Raises
    ------
    CheckpointError
        When the folder does not exist or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder to resume from")
    found = [path for path in folder.rglob("*.ckpt") if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise CheckpointError(f"{folder}: holds no *.ckpt")
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name == "last.ckpt"))


def shipped_weights() -> list[str]:
    """Return the names of the weights that ship with hitloom."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Return the file of a checkpoint given as a file, a run folder (its best) or the name of shipped weights.

    Raises
    ------
    CheckpointError
        When there is none.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.is_dir():
        for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt"):
            if (path / name).is_file():
                return path / name
        raise CheckpointError(f"{path}: no checkpoints/best.ckpt or checkpoints/last.ckpt in this folder")
    shipped = WEIGHTS / f"{name_or_path}.safetensors"
    if path.parent == Path() and shipped.is_file():
        return shipped
    raise CheckpointError(f"no checkpoint '{name_or_path}'.{nearest(str(name_or_path), shipped_weights())}")
