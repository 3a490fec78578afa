"""The chunked output layer and loss against `F.linear` + `F.cross_entropy`: time and memory, forward and backward.

python -m benchmarks.output_layer
"""

import subprocess
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.timing import machine, side_by_side, table
from seqtrain.layers.output import OutputLayer

SIZES = [(4096, 256, 10_000), (4096, 256, 8_000), (4096, 128, 8_000)]
"""Rows N, width E, vocabulary V."""
SMOOTHING = 0.1


def steps(rows: int, width: int, vocabulary: int) -> dict[str, Callable[[], object]]:
    """The two ways as functions that take one step forward and back."""
    torch.manual_seed(0)
    layer = OutputLayer(inputs=width, vocabulary=vocabulary)
    x = torch.randn(rows, width, requires_grad=True)
    target = torch.randint(0, vocabulary, (rows,))

    def whole(bfloat16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(layer(x), target, label_smoothing=SMOOTHING, reduction="sum")
        loss.backward()

    def chunked(bfloat16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, _ = layer.loss(x, target, smoothing=SMOOTHING)
        loss.backward()

    return {
        "whole, float32": lambda: whole(False),
        "chunked, float32": lambda: chunked(False),
        "whole, autocast": lambda: whole(True),
        "chunked, autocast": lambda: chunked(True),
    }


def peak_memory(way: str, size: tuple[int, int, int]) -> float:
    """MiB that one step adds to the resident memory of a fresh process, at its highest (Linux)."""
    code = (
        "from pathlib import Path\nfrom benchmarks.output_layer import steps\n"
        "def resident(name):\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith(name))\n"
        f"run = steps(*{size})[{way!r}]\n"
        "Path('/proc/self/clear_refs').write_text('5')\n"  # the high-water mark begins anew
        "before = resident('VmRSS')\nrun()\nprint(resident('VmHWM') - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**10


def main() -> None:
    """Prints the tables."""
    print(machine())
    rows = [(f"{n} × {e} → {v}", side_by_side(steps(n, e, v))) for n, e, v in SIZES]
    print(table(rows, "whole, autocast"))
    print("\nPeak memory of a step, MiB:")
    for size in SIZES:
        print(size, {way: round(peak_memory(way, size)) for way in rows[0][1]})


if __name__ == "__main__":
    main()
