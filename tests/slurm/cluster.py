"""A cluster of one's own: programs that are called as SLURM's are, note what they were asked, and answer from files."""

import os
import subprocess
from pathlib import Path

PROGRAMS = {
    "sbatch": """
        if [ -f refusal ]; then cat refusal >&2; exit 1; fi
        echo "$@" >>sent
        echo $((40 + $(wc -l <sent)))
    """,
    "squeue": """
        if [ -f refusal ]; then cat refusal >&2; exit 1; fi
        cat queue
    """,
    "scontrol": """
        echo "$@" >>scontrol
        if [ "$1" = show ]; then cat state; fi
    """,
    "srun": """
        if [ -f code ]; then exit $(cat code); fi
        cd "$OLDPWD"
        while [ "${1#--}" != "$1" ]; do shift; done
        exec "$@"
    """,
}


class Cluster:
    """Programs and the files that they answer from: `queue`, `state` of the job, `code` of srun, `refusal`.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in PROGRAMS.items():
            self.file(f"bin/{name}", f'#!/bin/bash\ncd "{folder}"\n{text}').chmod(0o755)
        self.file("queue", "")
        self.file("state", "JobState=RUNNING\n")

    @property
    def path(self) -> str:
        """PATH with these programs first."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def file(self, name: str, text: str) -> Path:
        """Sets what is answered."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def said(self, name: str) -> list[str]:
        """What a program was asked."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def task(self, script: Path, number: int, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a script as the task of an array."""
        ours = {"PATH": self.path, "SLURM_ARRAY_TASK_ID": str(number)}
        # As SLURM does it: one of the tasks has the number of the whole array.
        ours |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_JOB_ID": "7" if number == 0 else str(7 + number)}
        return subprocess.run(
            ["bash", str(script)],
            cwd=self.folder.parent,
            env={**os.environ, **ours, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
