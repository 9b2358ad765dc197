"""ONNX: for onnxruntime and its accelerators. Weights are inside the one file; the neighbour search is a Scan."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hitloom.errors import require_extra
from hitloom.export import torch_export
from hitloom.export.contract import EMBEDDED, embedded_text
from hitloom.systems.base import ExportSignature

MIN_POINTS = 1
OPSET = 18


def write(signature: ExportSignature, path: Path) -> None:
    """Translate the exported program and save it with its weights."""
    require_extra("onnx", "export")
    require_extra("onnxscript", "export")
    with _quiet("torch.onnx", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised inside torch while it traces
        made = torch.onnx.export(
            torch_export.program(signature),
            input_names=list(signature.input_names),
            output_names=list(signature.output_names),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert made is not None
        made.model.metadata_props.update(embedded_text(signature.contract))
        made.save(str(path), external_data=False)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Let these loggers report errors only: they speak of torchvision and of folding, which nobody asked for."""
    logs = [logging.getLogger(name) for name in names]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def reader(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    """Return the function that the file holds, run by onnxruntime on the CPU."""
    session = _session(path)
    names = [node.name for node in session.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(value) for value in session.run(None, feed))

    return run


def embedded(path: Path) -> str:
    """Return the contract inside the file, empty where there is none."""
    return str(_session(path).get_modelmeta().custom_metadata_map.get(EMBEDDED, ""))


def _session(path: Path) -> Any:
    require_extra("onnxruntime", "export")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised too
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
