"""What to expect of a training on more processes, from what was measured on one: a table of speed and efficiency.

    python -m benchmarks.plan parameters=N tokens_per_second=N batch_tokens=N bandwidth=N latency=N [key=value ...]

`bandwidth` is that of one process's link, in gigabits a second, `latency` that of a message, in microseconds;
`bytes=4` of a gradient's number, `spread=0.1` the standard deviation of a step's time over its mean, `overlap=0.6` the
share of a step behind which communication can hide (the backward pass; 0 where the same cores do both),
`processes=1,2,4,...`.
"""

import sys
from dataclasses import MISSING, dataclass, fields
from statistics import NormalDist

from seqtrain.runs.markdown import grid


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step consists of.

    Attributes:
        parameters: numbers that are trained.
        tokens_per_second: of one process by itself.
        batch_tokens: tokens of a step of one process; the global batch grows with the number of processes.
        bandwidth: Gbit/s of one process's link.
        latency: µs of a message.
        bytes: of a gradient's number.
        spread: standard deviation of a step's time over its mean: a step waits for the slowest process.
        overlap: share of a step behind which communication can hide.
    """

    parameters: float
    tokens_per_second: float
    batch_tokens: float
    bandwidth: float
    latency: float
    bytes: float = 4
    spread: float = 0.1
    overlap: float = 0.6

    def compute(self, processes: int) -> float:
        """Seconds of a step's own work on the slowest of the processes.

        The expected largest of n normal numbers is taken as the quantile at (n - 0.375) / (n + 0.25) (Blom 1958).
        """
        one = self.batch_tokens / self.tokens_per_second
        if processes == 1:
            return one
        return one * (1 + self.spread * NormalDist().inv_cdf((processes - 0.375) / (processes + 0.25)))

    def communication(self, processes: int) -> float:
        """Seconds of the mean of all gradients in a ring: 2 (n - 1) messages, of an nth of the gradients each."""
        size = self.bytes * self.parameters / (self.bandwidth * 1e9 / 8)
        return 2 * (processes - 1) * (size / processes + self.latency * 1e-6)

    def step(self, processes: int) -> float:
        """Seconds of a step: the work, and the communication that does not hide behind it."""
        work = self.compute(processes)
        return work + max(0.0, self.communication(processes) - self.overlap * work)

    def rows(self, processes: list[int]) -> list[list[str]]:
        """A row of the table for each number of processes."""
        alone = self.step(1)
        rows = []
        for n in processes:
            seconds, efficiency = self.step(n), alone / self.step(n)
            bound = "communication" if self.communication(n) > self.overlap * self.compute(n) else "compute"
            work, talk = (f"{part(n) * 1e3:.0f} ms" for part in (self.compute, self.communication))
            rate = n * self.batch_tokens / seconds
            rows.append([f"{n}", work, talk, f"{rate:,.0f}", f"{n * efficiency:.1f}", f"{efficiency:.0%}", bound])
        return rows


def main(words: list[str]) -> None:
    """Prints the table."""
    given = dict(word.split("=", 1) for word in words)
    processes = [int(n) for n in given.pop("processes", "1,2,4,8,16,32,64").split(",")]
    known = {field.name: field.default is MISSING for field in fields(Plan)}
    wrong = [name for name in {**given, **known} if name not in known or (known[name] and name not in given)]
    if wrong:
        raise SystemExit(f"{wrong[0]}: {'a value is needed' if wrong[0] in known else 'no such key'}\n{__doc__}")
    plan = Plan(**{name: float(value) for name, value in given.items()})
    header = ["processes", "work", "communication", "tokens/s", "speed-up", "efficiency", "bound by"]
    print(grid(header, plan.rows(processes)))


if __name__ == "__main__":
    main(sys.argv[1:])
