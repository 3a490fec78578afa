"""SLURM's own commands."""

import getpass
import re
import shutil
import subprocess
from pathlib import Path

from seqtrain.errors import UserError

PATIENCE = 120
"""Seconds that a command of SLURM may take; a controller that is busy can need many."""

UNREACHABLE = re.compile(r"unable to contact|connection refused|timed out|communication|socket", re.IGNORECASE)


def refuse_without_sbatch() -> None:
    """Refuses to send where there is nothing to send with.

    Raises:
        UserError: there is no `sbatch`.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "launcher=slurm needs sbatch, which is not there",
            "Send from a machine of the cluster, or train here: launcher=local.",
        )


def submit(script: Path) -> str:
    """Sends a script; returns the job's id.

    Raises:
        UserError: SLURM refuses it, or cannot be reached.
    """
    refuse_without_sbatch()
    hint = f"Mend the settings, hydra.launcher.KEY, or wait; then give the same command again. Not sent: {script}"
    said = _run(["sbatch", "--parsable", str(script)], hint)
    return said.strip().splitlines()[-1].partition(";")[0]


def queue() -> dict[str, str]:
    """The state of every job of this user that SLURM has, `RUNNING`, say; tasks of arrays as `ARRAY_NUMBER`.

    Raises:
        UserError: there is no `squeue`, or SLURM cannot be reached.
    """
    said = _run(
        ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i|%T"],
        "Ask again on a machine of the cluster, later.",
    )
    return {line.split("|")[0].strip(): line.split("|")[1].strip() for line in said.splitlines() if "|" in line}


def _run(command: list[str], hint: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError as error:
        raise UserError(f"there is no {command[0]} here", hint, code=1) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{command[0]}: no answer from SLURM in {PATIENCE} seconds", hint, code=1) from error
    if done.returncode:
        said = "; ".join(line.removeprefix(f"{command[0]}: ") for line in done.stderr.strip().splitlines())
        away = UNREACHABLE.search(said) is not None
        raise UserError(f"SLURM: {said or f'{command[0]} ended with {done.returncode}'}", hint, code=1 if away else 2)
    return done.stdout
