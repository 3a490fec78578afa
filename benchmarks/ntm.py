"""The neural Turing machine on copying: batches against single sequences, compiled, and written as in public.

    python -m benchmarks.ntm
    python -m benchmarks.ntm 16,20 compile     # batch, vectors; and torch.compile, which takes a minute or two

Every alternative takes the same sequences forward and back.
"""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import machine, side_by_side
from seqtrain.layers.ntm import NeuralTuringMachine

BITS, HIDDEN, SLOTS, WIDTH = 8, 100, 128, 20


class Head(nn.Module):
    """A head with a linear layer for each of its numbers, for one sequence."""

    def __init__(self, *, writes: bool) -> None:
        super().__init__()
        self.key = nn.Linear(HIDDEN, WIDTH)
        self.beta, self.gate, self.gamma = (nn.Linear(HIDDEN, 1) for _ in range(3))
        self.shift = nn.Linear(HIDDEN, 3)
        self.erase = nn.Linear(HIDDEN, WIDTH) if writes else None
        self.add = nn.Linear(HIDDEN, WIDTH) if writes else None

    def look(self, h: Tensor, memory: Tensor, before: Tensor) -> Tensor:
        """(N,) the next weighting, of (H,) and the memory (N, D)."""
        beta, gate = F.softplus(self.beta(h)), torch.sigmoid(self.gate(h))
        content = F.softmax(beta * F.cosine_similarity(memory + 1e-16, self.key(h) + 1e-16, dim=1), dim=0)
        mixed = gate * content + (1 - gate) * before
        around = torch.cat([mixed[-1:], mixed, mixed[:1]])
        shifted = F.conv1d(around.view(1, 1, -1), F.softmax(self.shift(h), dim=0).view(1, 1, -1)).view(-1)
        sharp = shifted ** (1 + F.softplus(self.gamma(h)))
        return sharp / (sharp.sum() + 1e-16)


class Straightforward(nn.Module):
    """The machine step by step in Python, one sequence at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.controller = nn.Linear(BITS + 1 + WIDTH, HIDDEN)
        self.reading, self.writing = Head(writes=False), Head(writes=True)
        self.output = nn.Linear(HIDDEN + WIDTH, BITS)

    def forward(self, inputs: Tensor) -> Tensor:
        """(T, O) logits of (T, I) vectors."""
        memory = torch.full((SLOTS, WIDTH), 1e-6)
        read, looks = torch.zeros(WIDTH), [F.one_hot(torch.tensor(0), SLOTS).float()] * 2
        outputs = []
        for x in inputs:
            h = torch.tanh(self.controller(torch.cat([x, read])))
            write = self.writing.look(h, memory, looks[1])
            assert self.writing.erase is not None
            assert self.writing.add is not None
            erase, add = torch.sigmoid(self.writing.erase(h)), self.writing.add(h)
            memory = memory * (1 - torch.outer(write, erase)) + torch.outer(write, add)
            looks = [self.reading.look(h, memory, looks[0]), write]
            read = looks[0] @ memory
            outputs.append(self.output(torch.cat([h, read])))
        return torch.stack(outputs)


def ours(*, compile: bool = False) -> NeuralTuringMachine:
    """The machine of the paper's copy task."""
    return NeuralTuringMachine(
        inputs=BITS + 1,
        outputs=BITS,
        controller="feedforward",
        hidden=HIDDEN,
        slots=SLOTS,
        width=WIDTH,
        reads=1,
        writes=1,
        reach=1,
        memory="constant",
        weighting="first",
        read="after",
        clamp=20.0,
        compile=compile,
    )


def main() -> None:
    """Prints sequences a second and their ratios."""
    sizes = [word for word in sys.argv[1:] if word != "compile"]
    B, length = map(int, sizes[0].split(",")) if sizes else (16, 20)
    T = 2 * length + 1
    inputs_BTI, lengths_B = torch.randn(B, T, BITS + 1), torch.full((B,), T)
    net, plain = ours(), Straightforward()
    alternatives: dict[str, Callable[[], object]] = {
        f"batches of {B}": lambda: net(inputs_BTI, lengths_B).sum().backward(),
        "one by one": lambda: [net(x[None], lengths_B[:1]).sum().backward() for x in inputs_BTI],
        "straightforward, one by one": lambda: [plain(x).sum().backward() for x in inputs_BTI],
    }
    if "compile" in sys.argv:
        compiled = ours(compile=True)
        alternatives[f"batches of {B}, compiled"] = lambda: compiled(inputs_BTI, lengths_B).sum().backward()
    seconds = side_by_side(alternatives, rounds=5)
    print(machine())
    print(f"copying {length} vectors, forward and back")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"{name:30} {B / value:8.1f} sequences/s  {value / first:6.2f} times the first's time")


if __name__ == "__main__":
    main()
