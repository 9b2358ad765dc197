"""The C++ program that links tracksters with an exported network: how it is built against torch, and how it is run.

It needs a C++ compiler and nothing else: headers and libraries are those inside the torch wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path

import torch

from hitloom.errors import DataError, MissingDependencyError
from hitloom.event import Event
from hitloom.export.contract import contract_path, read_contract
from hitloom.export.parity import ParityError
from hitloom.export.served_linking import Linked, read_partitions, write_events
from hitloom.systems.base import System
from hitloom.systems.linking.exportable import CONTRACT, CONTRACT_VERSION

PROGRAM = "link_tracksters"
STANDARD = "c++20"


def compiler() -> str | None:
    """Return the C++ compiler: ``$CXX``, else g++ or c++; None without one."""
    return next((path for name in (os.environ.get("CXX"), "g++", "c++") if name and (path := shutil.which(name))), None)


def build_command(source: Path, program: Path) -> list[str]:
    """Return the one command that builds the program.

    Raises
    ------
    MissingDependencyError
        When there is no C++ compiler.
    """
    found = compiler()
    if found is None:
        raise MissingDependencyError("a C++ compiler is needed and not found; mend: install g++, or set CXX")
    root = Path(torch.__file__).parent
    include, abi = root / "include", int(torch.compiled_with_cxx11_abi())
    return [
        found, f"-std={STANDARD}", "-O1", "-Wall", "-Wextra", f"-D_GLIBCXX_USE_CXX11_ABI={abi}",
        "-isystem", str(include), "-isystem", str(include / "torch" / "csrc" / "api" / "include"), str(source),
        "-o", str(program), f"-L{root / 'lib'}", f"-Wl,-rpath,{root / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10",
    ]  # fmt: skip


def build(program: str | Path, *, source: str = PROGRAM) -> Path:
    """Build a program; it takes about half a minute. What is there already is replaced.

    Parameters
    ----------
    program : str or Path
        File to write.
    source : str
        Name of its source in ``cpp/``, without the suffix.

    Raises
    ------
    MissingDependencyError, DataError
        When there is no compiler, or it fails; its first error is in the message.
    """
    program = Path(program)
    program.parent.mkdir(parents=True, exist_ok=True)
    with as_file(files("hitloom.export") / "cpp") as folder, tempfile.TemporaryDirectory(dir=program.parent) as place:
        draft = Path(place) / program.name
        done = subprocess.run(
            build_command(folder / f"{source}.cpp", draft), capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines = done.stderr.splitlines()
            error = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
            raise DataError(f"{program}: the C++ compiler failed: {error[:300]}")
        os.replace(draft, program)
    return program


def run(program: str | Path, model: str | Path, events: Iterable[Event]) -> list[Linked]:
    """Run the program on events and return their partitions.

    Raises
    ------
    DataError
        When the program refuses its input; the message is its own.
    """
    model = Path(model)
    contract = read_contract(model, wanted=CONTRACT, version=CONTRACT_VERSION)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_events(events, folder / "events.txt", contract)
        call(program, model, contract_path(model), folder / "events.txt", folder / "results.txt")
        return list(read_partitions(folder / "results.txt"))


def call(program: str | Path, *arguments: str | Path) -> str:
    """Run the program with these arguments and return what it says.

    Raises
    ------
    DataError
        When it fails.
    """
    done = subprocess.run(
        [str(Path(program).resolve()), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{program}: it crashed")
    return done.stdout


def check_partitions(program: str | Path, model: str | Path, system: System, events: Iterable[Event]) -> dict[str, int]:
    """Compare the partitions of the program with those of the system; return numbers of events, points and edges.

    Raises
    ------
    ParityError
        When a partition differs; the message names the event.
    """
    chosen = list(events)
    for event, found in zip(chosen, run(program, model, chosen), strict=True):
        system.needs.check(event)
        with torch.inference_mode():
            wanted = system.reconstruct(system(event), event).labels
        if not torch.equal(found.labels, wanted):
            differ = int((found.labels != wanted).sum())
            raise ParityError(
                f"{event.describe()}: the C++ program links {differ} of {len(wanted)} points otherwise than the system"
            )
    return {
        "num_events": len(chosen),
        "num_points": sum(event.num_points for event in chosen),
        "num_edges": sum(int(event.edge_index.shape[1]) for event in chosen),
    }
