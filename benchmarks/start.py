"""From a cold start to the first training step, with a warm cache of tokenised text.

python -m benchmarks.start data.root=PATH [any other override]
"""

import statistics
import subprocess
import sys
import time
from tempfile import TemporaryDirectory

from benchmarks.timing import machine

ROUNDS = 3


def seconds(overrides: list[str]) -> float:
    """Seconds of a process that starts, takes one training step without validating, and ends."""
    with TemporaryDirectory() as directory:
        command = [
            *(sys.executable, "-m", "seqtrain", "data=multi30k", "logger=none", "callbacks=none"),
            *("trainer.max_steps=1", "trainer.limit_val_batches=0", "trainer.limit_test_batches=0"),
            *("trainer.num_sanity_val_steps=0", f"hydra.run.dir={directory}/run", *overrides),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start


def main(overrides: list[str]) -> None:
    """Prints the median of several."""
    seconds(overrides)  # fills the cache
    found = [seconds(overrides) for _ in range(ROUNDS)]
    print(machine())
    print(f"start to the end of the first step: {statistics.median(found):.1f} s (median of {ROUNDS})")


if __name__ == "__main__":
    main(sys.argv[1:])
