"""A shower growing network as the reconstruction chain of Pandora loads it: a folder of three TorchScript files.

Beside them lie ``shower_growing.json``, the sidecar, which says everything a program must know, and
``shower_growing.xml``, the lines of the chain's settings file. Settings have the names of the XML keys in both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hitloom._version import __version__
from hitloom.data.shower_columns import CARDINALITY, TIER, column_report
from hitloom.errors import ConfigError, DataError
from hitloom.export.main import export
from hitloom.systems.showers.config import GroupingConfig
from hitloom.systems.showers.exportable import part_signatures
from hitloom.systems.showers.system import Showers

SIDECAR, SNIPPET = "shower_growing.json", "shower_growing.xml"
FORMAT, VERSION = "hitloom-pandora", 1
PART_FILES = {
    "encoder": "net_intra_cluster_encoder.pt",
    "attention": "net_inter_cluster_attn.pt",
    "similarity": "net_inter_cluster_sim.pt",
}
_PART_KEYS = {"encoder": "ModelEncoderFileName", "attention": "ModelAttnFileName", "similarity": "ModelSimFileName"}
_MODES = ("components", "accessory", "two_stage", "iterated")
_VOLUME = re.compile(r"volume_(\d)(\d)")


def export_pandora(system: Showers, folder: str | Path, *, tolerance: float = 1e-4) -> dict[str, Any]:
    """Write the three parts, the sidecar and the lines of XML into a folder; each part is checked first.

    Returns
    -------
    dict
        What the sidecar holds, with ``parity`` of each part.

    Raises
    ------
    ConfigError
        When the algorithm in C++ cannot build the features of the model or has no such grouping.
    ParityError
        When a file differs from the system; nothing is written then.
    """
    settings = pandora_settings(system)
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    signatures = part_signatures(system)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        draft = Path(place)
        parts: dict[str, Any] = {}
        for name, file in PART_FILES.items():
            report = export(system, draft / file, to="torchscript", tolerance=tolerance, signature=signatures[name])
            module = signatures[name].module
            parts[name] = {
                "file": file,
                "sha256": hashlib.sha256((draft / file).read_bytes()).hexdigest(),
                "num_parameters": sum(parameter.numel() for parameter in module.parameters()),
                "parity": report["parity"],
            }
            (draft / f"{file}.report.json").unlink()
        content = sidecar(system, settings, parts)
        (draft / SIDECAR).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (draft / SNIPPET).write_text(xml_snippet(settings), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        (folder / SIDECAR).unlink(missing_ok=True)  # an older sidecar is gone before its files are
        for path in sorted(draft.iterdir(), key=lambda path: path.name == SIDECAR):
            os.replace(path, folder / path.name)
    return content


def sidecar(system: Showers, settings: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sidecar says."""
    config = system.config
    return {
        "format": FORMAT,
        "version": VERSION,
        "system": system.name,
        "hitloom": __version__,
        "torch": str(torch.__version__),
        "num_parameters": system.num_parameters,
        "parts": dict(parts),
        "preset": config.inputs.preset,
        "columns": column_report(system.inputs.names),
        "detector": config.inputs.detector,
        "scales": dict(system.inputs.scales),
        "similarity_form": config.similarity.form,
        "grouping": config.grouping.mode,
        "trained_with_augmentation": config.augmentation.enabled,
        "settings": dict(settings),
        "notes": notes(system),
    }


def notes(system: Showers) -> list[str]:
    """Return what a user of the files should know, one sentence each."""
    config = system.config
    said = []
    if not config.augmentation.enabled:
        said.append(
            "the model never saw merged clusters in training, so MaxIterations is 1: iterating may merge everything "
            "into one cluster"
        )
    if config.similarity.form == "ordered":
        said.append("similarity.form is ordered: the groups depend on the order in which the clusters come")
    return said


def pandora_settings(system: Showers) -> dict[str, Any]:
    """Return the settings of the algorithm by their XML keys.

    Raises
    ------
    ConfigError
        When the algorithm cannot build the features of the model, was told none of the truth it would need, or has no
        such grouping.
    """
    config, names, scales = system.config, system.inputs.names, system.inputs.scales
    pairs = [pair for name in names if (pair := _VOLUME.fullmatch(name))]
    settings: dict[str, Any] = {_PART_KEYS[name]: file for name, file in PART_FILES.items()}
    settings |= grouping_settings(config.grouping, trained_with_augmentation=config.augmentation.enabled)
    settings |= {
        "IncludeDistToXGapFeature": "x_gap" in names,
        "IncludeHitCardinalityFeatures": CARDINALITY[0] in names,
        "IncludeHitNIterationNumFeature": TIER in names,
        "EncodeLArTPCVolIDs": [int(pair[1]) for pair in pairs],
        "EncodeDaughterVolIDs": [int(pair[2]) for pair in pairs],
        "PolarRScaleFactor": scales["polar_r"],
        "CartesianXScaleFactor": scales["cartesian_x"],
        "CartesianZScaleFactor": scales["cartesian_z"],
    }
    built = built_columns(settings)
    if built != names:
        place = next((place for place, pair in enumerate(zip(names, built, strict=False)) if pair[0] != pair[1]), None)
        which = f"column {place} '{names[place]}'" if place is not None else f"{len(names)} columns"
        wanted = f"'{built[place]}'" if place is not None else f"{len(built)}"
        raise ConfigError(
            f"export --to pandora: the algorithm in C++ builds its own columns, this model reads {which} where "
            f"{wanted} is built; mend: a training with inputs.preset 8, 9 or 10"
        )
    if system.inputs.added and not system.inputs.shows_added:
        raise ConfigError(
            f"export --to pandora: the weights never saw {', '.join(system.inputs.added)} "
            f"(epoch {int(system.inputs.epoch)} of training, shown from {config.inputs.added_from_epoch} on), but the "
            "algorithm in C++ gives them; mend: train longer, or inputs.added_from_epoch 0"
        )
    return settings


def grouping_settings(config: GroupingConfig, *, trained_with_augmentation: bool) -> dict[str, Any]:
    """Return threshold, threshold of the second stage, limit of accessories and number of iterations by XML keys.

    Raises
    ------
    ConfigError
        When the algorithm has no such mode.
    """
    if config.mode not in _MODES:
        raise ConfigError(
            f"export --to pandora: grouping.mode {config.mode} is none of the algorithm in C++; mend: "
            "--set model.grouping.mode=accessory"
        )
    beta = min(1.0, config.second_threshold / config.threshold) if config.mode == "two_stage" else 1.0
    return {
        "SimilarityThreshold": config.threshold,
        "SimilarityThresholdBeta": beta,
        "AccessoryClusterMaxHits": 0 if config.mode == "components" else config.accessory_max_hits,
        "MaxIterations": config.max_iterations if config.mode == "iterated" and trained_with_augmentation else 1,
    }


def built_columns(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the features that the algorithm builds with these settings, in its order."""
    volumes = zip(settings["EncodeLArTPCVolIDs"], settings["EncodeDaughterVolIDs"], strict=True)
    return (
        "r", "cos", "sin", "x", "z", "x_width", "pitch",
        *(("x_gap",) if settings["IncludeDistToXGapFeature"] else ()),
        "energy", "view_u", "view_v", "view_w",
        *(f"volume_{tpc}{daughter}" for tpc, daughter in volumes),
        *(CARDINALITY if settings["IncludeHitCardinalityFeatures"] else ()),
        *((TIER,) if settings["IncludeHitNIterationNumFeature"] else ()),
    )  # fmt: skip


def xml_snippet(settings: Mapping[str, Any]) -> str:
    """Return the lines for the settings file of the chain; paths and lists are those of the user."""
    lines = [
        "<!-- After 2D clustering, vertexing and vertex splitting, before the matching of views in 3D. -->",
        '<algorithm type = "LArDLTwoDShowerGrowing">',
        "  <!-- Names of the lists, and the folder of the models: as in the chain. -->",
        "  <ClusterListNames>ClustersU ClustersV ClustersW</ClusterListNames>",
        "  <VertexListName>NeutrinoVertices3D</VertexListName>",
        "  <TrainingMode>false</TrainingMode>",
    ]
    for key, value in settings.items():
        if value != []:
            lines.append(f"  <{key}>{_text(value)}</{key}>")
    return "\n".join([*lines, "</algorithm>"]) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def read_sidecar(folder: str | Path) -> dict[str, Any]:
    """Read the sidecar of a folder and check it against the files beside it.

    Raises
    ------
    DataError
        When it is missing, of another kind or version, or a file is missing or not the one it was written with.
    """
    path = Path(folder) / SIDECAR
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; mend: hitloom export CHECKPOINT --to pandora") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a sidecar: {str(error)[:120]}") from None
    found = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
    if found != (FORMAT, VERSION):
        raise DataError(f"{path}: a sidecar of '{found[0]}' version {found[1]} came, wanted '{FORMAT}' {VERSION}")
    for part in content["parts"].values():
        file = path.with_name(part["file"])
        if not file.is_file():
            raise DataError(f"{file}: no such file, named in {SIDECAR}; mend: export again")
        if hashlib.sha256(file.read_bytes()).hexdigest() != part["sha256"]:
            raise DataError(f"{file}: not the file that {SIDECAR} was written with; mend: export again")
    built = built_columns(content["settings"])
    if [item["name"] for item in content["columns"]] != list(built):
        raise DataError(f"{path}: its settings build other columns than the network reads; mend: export again")
    return dict(content)
