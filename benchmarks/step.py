"""Where a training step goes: matrix products, other operators and Python, at the sizes of `benchmarks.joeynmt`.

    python -m benchmarks.step gru|transformer_tiny data.root=PATH [OVERRIDE ...]

Steps of a plain loop over real batches in bfloat16, as in `benchmarks.training`. Times come from torch's profiler,
which makes small operators look longer than they are: the milliseconds of a step are those without it.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.joeynmt import tokens
from benchmarks.joeynmt.programs import MODELS
from benchmarks.timing import machine, side_by_side
from benchmarks.training import bare_steps
from seqtrain.config.allow import build
from seqtrain.config.compose import compose

STEPS, TOP = 15, 14
GROUPS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"),
    "copies, conversions, lookups": (
        *("copy_", "cat", "stack", "fill_", "zero_", "index", "index_select", "index_copy_", "gather", "index_add_"),
        *("index_put_", "_index_put_impl_", "embedding_dense_backward"),
    ),
    "softmax and norms": (
        *("_softmax", "_softmax_backward_data", "_log_softmax", "exp_", "logsumexp", "native_layer_norm"),
        "native_layer_norm_backward",
    ),
    "dropout": ("bernoulli_", "random_", "ge"),
    "views and allocation": (
        *(
            "empty",
            "empty_like",
            "empty_strided",
            "new_empty",
            "as_strided",
            "view",
            "_unsafe_view",
            "reshape",
            "select",
        ),
        *("_reshape_alias", "transpose", "t", "slice", "narrow", "split", "unbind", "unsqueeze", "squeeze", "expand"),
        *("detach", "detach_", "to", "_to_copy", "contiguous", "clone", "permute", "result_type", "resize_", "alias"),
    ),
}
"""Operators by what they do; torch's others go element by element or are sums; other events: autograd, Python."""


def group(name: str) -> str:
    """What an event of the profiler is counted as."""
    kind, _, operator = name.rpartition("::")
    if kind != "aten":
        return "autograd and Python"
    return next((label for label, operators in GROUPS.items() if operator in operators), "element by element, sums")


def product_rate() -> float:
    """bfloat16 operations a second (G) of a large matrix product."""
    a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16) for _ in range(2))
    return 2 * 2048**3 / side_by_side({"mm": lambda: a @ b})["mm"] / 1e9


def taken(steps: Iterator[None]) -> float:
    """Seconds of `STEPS` steps."""
    start = time.perf_counter()
    for _ in islice(steps, STEPS):
        pass
    return time.perf_counter() - start


def report(events: list[Any], seconds: float, fastest: float) -> None:
    """Prints groups and operators with their shares of the profiled time."""
    times, calls = defaultdict[str, float](float), defaultdict[str, int](int)
    for event in events:
        times[group(event.key)] += event.self_cpu_time_total / 1e6
        calls[group(event.key)] += event.count
    operations = sum(event.flops for event in events) / 1e9
    times["autograd and Python"] += max(0.0, seconds - sum(times.values()))  # what no event covers
    for label, value in sorted(times.items(), key=lambda item: -item[1]):
        print(f"{label:32} {value / seconds:6.1%}  {calls[label] / STEPS:7.0f} a step")
    optimiser = sum(event.cpu_time_total for event in events if event.key.startswith("Optimizer.step")) / 1e6
    print(f"{'of all this, the optimiser':32} {optimiser / seconds:6.1%}")
    rate = operations / times["matrix products"]
    print(
        f"products: {operations / STEPS:.1f} G operations a step, {rate:.0f} G/s; of the fastest {rate / fastest:.0%}"
    )
    print("operators by their own time:")
    shown(events, "self_cpu_time_total", seconds)
    print("parts by the time of all that is inside them:")
    shown([event for event in events if "::" not in event.key], "cpu_time_total", seconds)


def shown(events: list[Any], time_of: str, seconds: float) -> None:
    """Prints the events that take most time."""
    for event in sorted(events, key=lambda event: -getattr(event, time_of))[:TOP]:
        share = getattr(event, time_of) / 1e6 / seconds
        print(f"  {event.key[:60]:60} {share:6.1%}  {event.count / STEPS:7.0f} a step", flush=True)


def main(arguments: list[str]) -> None:
    """Prints where the time goes."""
    if not arguments or arguments[0] not in MODELS:
        raise SystemExit(__doc__)
    name, *overrides = arguments
    settings = [*MODELS[name], *tokens.SETTINGS, "~recipe", "trainer.precision=bf16-mixed", *overrides]
    config = compose(settings)
    data = build(config.data, "data", seed=config.seed)
    data.setup("fit")
    torch.manual_seed(config.seed)
    model = build(config.model, "model", task=data.task)
    print(machine(), flush=True)
    fastest = product_rate()
    taken(bare_steps(config, data, model))  # kernels are compiled for every shape that is met first
    seconds = taken(bare_steps(config, data, model))
    targets = sum(int(batch.target_lengths.sum()) for batch in islice(data.train_dataloader(), STEPS))
    print(f"{name}: {seconds / STEPS * 1e3:.0f} ms a step, {targets / seconds:.0f} target tokens a second", flush=True)
    print(f"bfloat16 product of 2048 x 2048: {fastest:.0f} G operations a second")
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiler:
        profiled = taken(bare_steps(config, data, model))
    print(f"with the profiler {profiled / seconds:.2f} times as long; shares of that:")
    report(list(profiler.key_averages()), profiled, fastest)


if __name__ == "__main__":
    main(sys.argv[1:])
