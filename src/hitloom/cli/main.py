"""``hitloom``: entry point of the command line.

An error that is the input's fault is one line on stderr and exit code 2 (``HITLOOM_DEBUG=1`` shows where it came from);
any other exception keeps its traceback.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from hitloom._version import __version__
from hitloom.errors import HitloomError

INPUT_ERROR = 2


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hitloom {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Detector hits in, particles out: learned reconstruction for particle detectors."""


def build_app() -> typer.Typer:
    """Return the application with every verb; nothing heavy is imported."""
    from hitloom.cli import (
        ceilings,
        compare,
        config,
        evaluate,
        export,
        import_weights,
        infer,
        info,
        simulate,
        stability,
        sweep,
        train,
    )

    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_root)
    app.command("train")(train.train)
    app.command("sweep")(sweep.sweep)
    app.command("infer")(infer.infer)
    app.command("eval")(evaluate.evaluate)
    app.command("compare")(compare.compare)
    app.command("export")(export.export)
    app.command("display")(evaluate.display)
    app.command("stability")(stability.stability)
    app.command("ceilings")(ceilings.ceilings)
    app.command("info")(info.info)
    app.command("import-weights")(import_weights.import_weights)
    app.add_typer(simulate.app, name="simulate")
    app.add_typer(config.app, name="config")
    for name in ("data", "demo", "stage"):
        if importlib.util.find_spec(f"hitloom.cli.{name}") is not None:
            app.add_typer(importlib.import_module(f"hitloom.cli.{name}").app, name=name)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 2 for a wrong input, 128 + signal for a stop."""
    with _log_lines():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    command: Any = typer.main.get_command(build_app())
    try:
        code = command.main(
            list(arguments), prog_name="hitloom", standalone_mode=False, obj={"arguments": list(arguments)}
        )
    except HitloomError as error:
        if os.environ.get("HITLOOM_DEBUG"):
            raise
        return _refuse(" ".join(str(error).split()))
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("stopped", err=True)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        usage = _usage_error(error)
        if usage is None:
            raise
        return usage
    return code if isinstance(code, int) else 0


def _usage_error(error: Exception) -> int | None:
    """Say a mistake in the options in one line; None when the exception is not one.

    The exceptions of click have ``format_message`` and ``exit_code``, whether typer brings its own click or not.
    """
    if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message())
        return 0
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "hitloom"
    message = " ".join(error.format_message().split())
    return _refuse(f"{message} See '{path} --help'.")


def _refuse(message: str) -> int:
    typer.echo(f"hitloom: {message}", err=True)
    return INPUT_ERROR


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"warning: {text}" if record.levelno >= logging.WARNING else text


class _Stderr(logging.Handler):
    """Writes plain lines to whatever ``sys.stderr`` is now."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


@contextmanager
def _log_lines() -> Iterator[None]:
    """Send the log of hitloom to stderr as plain lines while a command runs."""
    log, handler = logging.getLogger("hitloom"), _Stderr()
    handler.setFormatter(_Lines("%(message)s"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO if os.environ.get("LOCAL_RANK", "0") == "0" else logging.ERROR)  # one process speaks
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


if __name__ == "__main__":
    main()
