"""What tests of commands in processes of their own share."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
RANKS = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "SEQTRAIN_RUN_DIR"),
    *("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_NTASKS", "SLURM_PROCID"),
)
"""Variables by which a process takes itself for one of several."""

WITHOUT_TORCH = """
    import runpy, sys
    try:
        runpy.run_module("seqtrain", run_name="__main__", alter_sys=True)
    finally:
        slow = {"torch", "pytorch_lightning", "torchmetrics", "datasets", "pyarrow", "wandb", "sacrebleu", "matplotlib"}
        if slow & set(sys.modules):
            sys.exit(f"imported: {slow & set(sys.modules)}")
"""
"""Python that is `python -m seqtrain`, and for which importing torch, or what else takes long, is a failure."""


def assert_one_message(done: subprocess.CompletedProcess[str], message: str) -> None:
    """A command refused what it was given: it says what is wrong, and does nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("seqtrain: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
