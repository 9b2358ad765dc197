"""``--slurm``: the same command as a batch job, nothing of any site in it.

The job runs ``srun`` with the original command less the slurm options, so that what runs is what was typed.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from hitloom.errors import ConfigError, MissingDependencyError

PANEL = "Slurm"
SIGNAL_SECONDS = 300


def _option(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=PANEL, show_default=False)


# name of the parameter -> (annotation, default); those of type bool take no value on the command line
OPTIONS: dict[str, tuple[Any, Any]] = {
    "slurm": (Annotated[bool, _option("--slurm", "Submit this command to slurm instead of running it.")], False),
    "slurm_dry_run": (Annotated[bool, _option("--slurm-dry-run", "Print the job script, submit nothing.")], False),
    "slurm_account": (Annotated[str | None, _option("--slurm-account", "Account to charge.")], None),
    "slurm_partition": (Annotated[str | None, _option("--slurm-partition", "Partition.")], None),
    "slurm_qos": (Annotated[str | None, _option("--slurm-qos", "Quality of service.")], None),
    "slurm_constraint": (Annotated[str | None, _option("--slurm-constraint", "Node features wanted.")], None),
    "slurm_time": (Annotated[str | None, _option("--slurm-time", "Time limit, for example 12:00:00.")], None),
    "slurm_nodes": (Annotated[int, _option("--slurm-nodes", "Number of nodes (default 1).")], 1),
    "slurm_gpus_per_node": (Annotated[int, _option("--slurm-gpus-per-node", "GPUs, one task each (default 0).")], 0),
    "slurm_extra": (
        Annotated[str | None, _option("--slurm-extra", 'More options of sbatch, for example "--mem=80G --exclusive".')],
        None,
    ),
}
_FLAGS = {"--slurm", "--slurm-dry-run"}
_WITH_VALUE = {"--" + name.replace("_", "-") for name in OPTIONS} - _FLAGS


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the job asks of slurm."""

    verb: str
    arguments: Sequence[str]
    account: str | None
    partition: str | None
    qos: str | None
    constraint: str | None
    time: str | None
    nodes: int
    gpus_per_node: int
    extra: str | None


def strip_slurm(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the slurm options and their values."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _WITH_VALUE:
            skip = True
        elif argument not in _FLAGS and argument.partition("=")[0] not in _WITH_VALUE:
            kept.append(argument)
    return kept


def script(job: Job) -> str:
    """Return the text of the batch script."""
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name=hitloom-{job.verb}",
        f"#SBATCH --nodes={job.nodes}",
        f"#SBATCH --ntasks-per-node={max(1, job.gpus_per_node)}",
    ]
    if job.gpus_per_node:
        lines.append(f"#SBATCH --gpus-per-node={job.gpus_per_node}")
    for name in ("account", "partition", "qos", "constraint", "time"):
        value = getattr(job, name)
        if value is not None:
            lines.append(f"#SBATCH --{name}={shlex.quote(value)}")
    lines += [
        "#SBATCH --output=slurm-%x-%j.out",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        f"#SBATCH --signal=SIGUSR1@{SIGNAL_SECONDS}",
    ]
    if job.extra is not None:
        lines.append(f"#SBATCH {shlex.join(shlex.split(job.extra))}")
    lines += ["", f"srun {shlex.join(['hitloom', *job.arguments])}", ""]
    return "\n".join(lines)


def submit(text: str) -> str:
    """Hand the script to sbatch and return its answer.

    Raises
    ------
    MissingDependencyError
        When there is no sbatch on this machine.
    ConfigError
        When sbatch refuses.
    """
    try:
        answer = subprocess.run(["sbatch"], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MissingDependencyError(
            "sbatch is not on this machine; mend: submit from a slurm login node, or see --slurm-dry-run"
        ) from None
    if answer.returncode:
        raise ConfigError(f"sbatch refused the job: {' '.join(answer.stderr.split()) or answer.returncode}")
    return answer.stdout.strip()


def with_slurm(verb: str, *, check: Callable[..., None] | None = None) -> Callable[..., Any]:
    """Decorate a verb with the slurm options; with ``--slurm`` it is submitted, not run.

    ``check(nodes=, gpus_per_node=, **arguments of the verb)`` may refuse a job whose size does not fit the command.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters

        @functools.wraps(function)
        def wrapper(ctx: typer.Context, **values: Any) -> None:
            slurm = {name: values.pop(name) for name in OPTIONS}
            if not (slurm.pop("slurm") | (dry_run := slurm.pop("slurm_dry_run"))):
                function(**values)
                return
            settings = {name.removeprefix("slurm_"): value for name, value in slurm.items()}
            if check is not None:
                check(nodes=settings["nodes"], gpus_per_node=settings["gpus_per_node"], **values)
            root = ctx.find_root()
            arguments = strip_slurm((root.obj or {}).get("arguments", []))
            text = script(Job(verb=verb, arguments=arguments, **settings))
            typer.echo(text if dry_run else submit(text))

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter("ctx", keyword, annotation=typer.Context)]
        parameters += [parameter.replace(kind=keyword) for parameter in own.values()]
        parameters += [
            inspect.Parameter(name, keyword, annotation=annotation, default=default)
            for name, (annotation, default) in OPTIONS.items()
        ]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del wrapper.__wrapped__  # type: ignore[attr-defined]
        return wrapper

    return decorate


def leave(signum: int, message: str, *, main: bool = True) -> int:
    """Say how a stopped command goes on, ask slurm to queue its job again where the signal was slurm's warning.

    Returns the exit code, 128 + signal. Of several processes only the ``main`` one speaks and asks.
    """
    if not main:
        return 128 + signum
    import signal

    from hitloom.training.stop import requeue_slurm_job

    if signum == getattr(signal, "SIGUSR1", None) and requeue_slurm_job():
        message = "state saved; slurm will run the job again"
    typer.echo(message, err=True)
    return 128 + signum
