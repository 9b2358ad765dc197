"""The contract of an exported file: what a program that runs it must agree on, inside the file and beside it.

Inside, so that the file is never without it; beside it as ``<file>.contract.json``, with the file's own hash and with
the working point, which may be changed there. Whatever else differs between the two is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hitloom._version import __version__
from hitloom.errors import DataError

EMBEDDED = "hitloom_contract.json"
"""Name of the text inside the file: an extra file of TorchScript and torch.export, a metadata entry of ONNX."""
CHANGEABLE = "thresholds"


def contract_path(model: str | Path) -> Path:
    """Return the place of the contract beside a file."""
    model = Path(model)
    return model.with_name(model.name + ".contract.json")


def embedded_text(contract: Mapping[str, Any]) -> dict[str, str]:
    """Return the text to put into a file by its name, empty for a system without a contract."""
    return {EMBEDDED: json.dumps({**contract, "hitloom": __version__})} if contract else {}


def write_contract(path: Path, contract: Mapping[str, Any], *, model: Path, name: str, to: str) -> None:
    """Write the contract of the file ``model``, which is going to be called ``name``, to ``path``."""
    about = {"file": name, "format": to, "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    content = {**contract, "hitloom": __version__, "model": about}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_contract(model: str | Path, *, wanted: str, version: int) -> dict[str, Any]:
    """Read the contract beside a file, and check that it is of this kind and of this very file.

    Parameters
    ----------
    model : str or Path
        The exported file.
    wanted : str
        Kind of contract, its ``format``.
    version : int

    Raises
    ------
    DataError
        When file or contract are missing or damaged, of another kind or version, or do not belong together.
    """
    model, path = Path(model), contract_path(model)
    if not model.is_file():
        raise DataError(f"{model}: no such file")
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no contract beside the exported file; mend: export it again") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a contract: {str(error)[:120]}") from None
    found = (contract.get("format"), contract.get("version")) if isinstance(contract, dict) else (None, None)
    if found != (wanted, version):
        raise DataError(f"{path}: a contract of '{found[0]}' version {found[1]} came, wanted '{wanted}' {version}")
    about = contract.get("model")
    if not isinstance(about, dict) or about.get("sha256") != hashlib.sha256(model.read_bytes()).hexdigest():
        raise DataError(f"{path}: the contract is not of this {model.name}: the hash differs; mend: export it again")
    inside = _inside(model, str(about.get("format")))
    for key, value in inside.items():
        if key != CHANGEABLE and contract.get(key) != value:
            raise DataError(f"{path}: '{key}' differs from the contract inside {model.name}; mend: export it again")
    return contract


def _inside(model: Path, to: str) -> dict[str, Any]:
    from hitloom.export.main import FORMATS

    if to not in FORMATS:
        raise DataError(f"{model}: its contract names the unknown format '{to}'")
    text = import_module(FORMATS[to][0]).embedded(model)
    if not text:
        raise DataError(f"{model}: holds no contract; mend: export it again")
    return dict(json.loads(text))


def text_lines(path: str | Path, *, kind: str, version: int) -> list[str]:
    """Return the lines of a text file of the C++ programs, whose first line names its kind and version.

    Raises
    ------
    DataError
        When the file is of another kind or version.
    """
    lines = Path(path).read_text(encoding="ascii").splitlines()
    if not lines or lines[0] != f"{kind} {version}":
        raise DataError(f"{path}: no '{kind}' of version {version}")
    return lines
