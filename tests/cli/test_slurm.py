"""Slurm: the job runs what was typed, and nothing of any site is in the package (defects 21 and 22)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitloom.cli.slurm import OPTIONS, Job, script, strip_slurm

SOURCE = Path(__file__).resolve().parents[2] / "src" / "hitloom"


def srun_line(text: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith("srun ")]
    return shlex.split(line)


def job(arguments: list[str], **settings: object) -> Job:
    defaults = dict.fromkeys(("account", "partition", "qos", "constraint", "time", "extra"))
    return Job(verb="train", arguments=arguments, **(defaults | {"nodes": 1, "gpus_per_node": 0} | settings))  # type: ignore[arg-type]


word = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=0, max_size=12).filter(
    lambda text: not text.startswith("--slurm")
)
slurm_part = st.sampled_from(
    [["--slurm"], ["--slurm-dry-run"], ["--slurm-account", "a b"], ["--slurm-account=x"], ["--slurm-nodes", "2"]]
)


@given(parts=st.lists(st.one_of(word.map(lambda text: (False, [text])), slurm_part.map(lambda part: (True, part)))))
def test_the_job_runs_the_command_less_the_slurm_options(parts: list[tuple[bool, list[str]]]):
    """Defect 21: quoting survives the round trip through the shell, whatever was typed."""
    typed = [word for _, part in parts for word in part]
    wanted = [word for is_slurm, part in parts if not is_slurm for word in part]
    assert strip_slurm(typed) == wanted
    text = script(job(wanted))
    assert shlex.split(text[text.index("\nsrun ") :]) == ["srun", "hitloom", *wanted]


def test_flags_stay_flags(cli: Callable, workshop: Path):
    """Defect 21: the reference wrote a value after --load-only-model-parameters."""
    typed = [
        "train",
        "eggnet-small",
        "st ore",
        "-o",
        "o ut",
        "-c",
        "run",
        "--load-only-model-parameters",
        "--set",
        "data.split=[1, 2, 3]",
    ]
    answer = cli(*typed, "--slurm-dry-run", "--slurm-account", "group 1", "--slurm-time=1:00:00")
    assert answer.code == 0
    assert srun_line(answer.out) == ["srun", "hitloom", *typed]
    assert "#SBATCH --account='group 1'" in answer.out
    assert "#SBATCH --time=1:00:00" in answer.out
    for line in ("--requeue", "--signal=SIGUSR1@300", "--nodes=1", "--ntasks-per-node=1"):
        assert f"#SBATCH {line}" in answer.out


@pytest.mark.parametrize("verb", ["infer", "eval"])
def test_the_other_verbs_resubmit_themselves(cli: Callable, verb: str):
    typed = [verb, "a", "b", "-o", "c"] if verb == "infer" else [verb, "a", "-o", "c"]
    answer = cli(*typed, "--slurm-dry-run", "--slurm-extra", "--mem=80G --comment='two words'")
    assert srun_line(answer.out) == ["srun", "hitloom", *typed]
    assert "#SBATCH --mem=80G '--comment=two words'" in answer.out


def test_devices_of_the_job_and_of_the_run_must_agree(cli: Callable):
    """Defect 21: one source for the number of devices."""
    options = ["--slurm-dry-run", "--slurm-gpus-per-node", "4", "--slurm-nodes", "2"]
    refused = cli("train", "eggnet-small", "s", *options)
    assert refused.code == 2
    assert "mend: --set training.devices=4 --set training.num_nodes=2" in refused.err
    agreed = ["train", "eggnet-small", "s", "--set", "training.devices=4", "--set", "training.num_nodes=2"]
    answer = cli(*agreed, *options)
    assert srun_line(answer.out) == ["srun", "hitloom", *agreed]
    for line in ("--gpus-per-node=4", "--ntasks-per-node=4", "--nodes=2"):
        assert f"#SBATCH {line}" in answer.out


def test_submission_hands_the_script_to_sbatch(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake = tmp_path / "sbatch"
    fake.write_text(f"#!/bin/sh\ncat > {tmp_path}/script\necho Submitted batch job 7\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    answer = cli("infer", "a", "b", "-o", "c", "--slurm")
    assert answer.out == "Submitted batch job 7\n"
    assert srun_line((tmp_path / "script").read_text()) == ["srun", "hitloom", "infer", "a", "b", "-o", "c"]
    fake.write_text("#!/bin/sh\necho 'invalid account' >&2\nexit 1\n")
    refused = cli("infer", "a", "b", "-o", "c", "--slurm")
    assert (refused.code, refused.err) == (2, "hitloom: sbatch refused the job: invalid account\n")


def test_without_slurm_the_mend_is_named(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = cli("infer", "a", "b", "-o", "c", "--slurm")
    assert answer.code == 2
    assert "sbatch is not on this machine" in answer.err


def test_nothing_site_specific_is_in_the_package():
    """Defect 22: no account, module, partition, constraint or path of a site; every default of slurm is empty."""
    for name, (_, default) in OPTIONS.items():
        assert default in (False, None) or (name, default) in {("slurm_nodes", 1), ("slurm_gpus_per_node", 0)}
    words = ("m2616", "hbm80g", "perlmutter", "nersc", "/global/", "/cvmfs", "module load", "project_id", "lxplus")
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.yaml")]:
        text = path.read_text().lower()
        assert not [word for word in words if word in text], path
