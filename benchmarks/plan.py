"""What to expect of a training on more processes, from what was measured on one: a table of speed and efficiency.

    python -m benchmarks.plan parameters=N tokens_per_second=N batch_tokens=N bandwidth=N latency=N [key=value ...]

`batch_tokens` is counted as `tokens_per_second` is, so that it is the seconds of a step times that speed: with
`train/tokens_per_second` target tokens without padding, not the padded ones of the longer side of `data.batch_tokens`.
`bandwidth` is that of one process's link, in gigabits a second, `latency` that of a message, in microseconds;
`bytes=4` of a gradient's number, `spread=0.1` the standard deviation of a step's time over its mean, `overlap=0.6` the
share of a step behind which communication can hide (the backward pass; 0 where the same cores do both),
`processes=1,2,4,...`.
"""

import sys
from dataclasses import MISSING, dataclass, fields
from statistics import NormalDist
from typing import get_type_hints

from seqtrain.config.names import did_you_mean
from seqtrain.config.types import NonNegativeFloat, PositiveFloat, Share
from seqtrain.config.values import accepts, describe
from seqtrain.errors import UserError
from seqtrain.runs.markdown import grid


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step consists of.

    Attributes:
        parameters: numbers that are trained.
        tokens_per_second: of one process by itself.
        batch_tokens: of a step of one process, counted in the same way; the global batch grows with the processes.
        bandwidth: Gbit/s of one process's link.
        latency: µs of a message.
        bytes: of a gradient's number.
        spread: standard deviation of a step's time over its mean: a step waits for the slowest process.
        overlap: share of a step behind which communication can hide.
    """

    parameters: PositiveFloat
    tokens_per_second: PositiveFloat
    batch_tokens: PositiveFloat
    bandwidth: PositiveFloat
    latency: NonNegativeFloat
    bytes: PositiveFloat = 4
    spread: NonNegativeFloat = 0.1
    overlap: Share = 0.6

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
    """Prints the table, or how it is asked for."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return
    try:
        plan, processes = read(words)
    except UserError as error:
        print(f"{error}\n  How it is asked for: python -m benchmarks.plan --help", file=sys.stderr)
        raise SystemExit(error.code) from None
    header = ["processes", "work", "communication", "tokens/s", "speed-up", "efficiency", "bound by"]
    print(grid(header, plan.rows(processes)))


def read(words: list[str]) -> tuple[Plan, list[int]]:
    """The plan, and the numbers of processes, that words as `key=value` ask for.

    Raises:
        UserError: a word, key or value is not right, or a key is missing.
    """
    for word in words:
        if "=" not in word:
            raise UserError(f"{word}: is not written key=value")
    given = dict(word.split("=", 1) for word in words)
    processes = given.pop("processes", "1,2,4,8,16,32,64").split(",")
    if not all(n.isdecimal() and int(n) for n in processes):
        raise UserError(f"processes={','.join(processes)}: must be whole numbers of at least 1, as 1,2,4")
    hints = get_type_hints(Plan, include_extras=True)
    for name in given:
        if name not in hints:
            raise UserError(f"{name}: no such key{did_you_mean(name, hints)} Keys: {', '.join(hints)}, processes")
    for field in fields(Plan):
        if field.default is MISSING and field.name not in given:
            hint = describe(hints[field.name])
            raise UserError(f"{field.name}: a value is needed, {hint}: {field.name}=VALUE")
    plan = Plan(**{name: _number(name, text, hints[name]) for name, text in given.items()})
    return plan, [int(n) for n in processes]


def _number(name: str, text: str, hint: object) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not accepts(number, hint):
        raise UserError(f"{name}={text}: must be {describe(hint)}")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
