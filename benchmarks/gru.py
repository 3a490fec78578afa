"""The lecture's GRU against `torch.nn.GRU`, forward and backward.

python -m benchmarks.gru
"""

import torch

from benchmarks.timing import machine, side_by_side, table
from seqtrain.layers.gru import GRULayer

SIZES = [(64, 50, 256), (256, 16, 256), (220, 15, 512)]
"""Batch B, steps T, width H."""


def step(layer: GRULayer, x: torch.Tensor, state: torch.Tensor, bfloat16: bool) -> None:
    """One step forward and back."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        h = layer(x, state)
    h.float().sum().backward()


def main() -> None:
    """Prints the table."""
    print(machine())
    rows = []
    for B, T, H in SIZES:
        lecture, torchs = GRULayer(inputs=H, hidden=H), GRULayer(inputs=H, hidden=H, reset="after")
        x, state = torch.randn(T, B, H, requires_grad=True), torch.zeros(B, H)
        for bfloat16 in (False, True):
            ways = {
                "nn.GRU": lambda b=bfloat16, m=torchs, x=x, s=state: step(m, x, s, b),
                "lecture's": lambda b=bfloat16, m=lecture, x=x, s=state: step(m, x, s, b),
            }
            rows.append((f"B {B}, T {T}, H {H}, {'bfloat16' if bfloat16 else 'float32'}", side_by_side(ways)))
    print(table(rows, "nn.GRU"))


if __name__ == "__main__":
    main()
