"""Several networks that translate as one: the mean of their probabilities at every step."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.decoding.positions import positions
from seqtrain.decoding.scoring import of_targets


class Ensemble(nn.Module):
    """Networks of one vocabulary as one network: p(y_t) = 1/M Σ_m p_m(y_t), the arithmetic mean of the probabilities.

    It keeps the contract of a network that translates, so that whatever searches, measures or scores takes it as one.
    The mean is taken in log space. It cannot be trained.

    Args:
        networks: M networks that translate; architectures and widths can differ.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.decoder = EnsembleDecoder([network.decoder for network in networks])
        limits = [limit for limit in map(positions, networks) if limit is not None]
        if limits:
            self.max_positions = min(limits)

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> list[Any]:
        """Every network's memory of (B, S) source ids."""
        return [network.encode(source_BS, lengths_B) for network in self._members()]

    def teach(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Inputs of all output layers one behind the other, (B, T, Σ E)."""
        return torch.cat([network.teach(source_BS, lengths_B, tokens_BT) for network in self._members()], dim=-1)

    def _members(self) -> Sequence[Any]:
        return list(self.networks)


class EnsembleDecoder:
    """Decoders of one vocabulary as one; a state is the list of theirs.

    Args:
        decoders: what each network writes with.
    """

    def __init__(self, decoders: Sequence[Any]) -> None:
        self.decoders = list(decoders)
        self.output = EnsembleOutput([decoder.output for decoder in decoders])

    def init_state(self, memory: list[Any]) -> list[Any]:
        """The states before the first step."""
        return [decoder.init_state(own) for decoder, own in zip(self.decoders, memory, strict=True)]

    def step(self, tokens_B: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """(B, V) log-probabilities of the next token after (B,) tokens, and the next states."""
        steps = [decoder.step(tokens_B, own) for decoder, own in zip(self.decoders, state, strict=True)]
        return _mean([logits for logits, _ in steps]), [own for _, own in steps]

    def reorder_state(self, state: list[Any], index: Tensor) -> list[Any]:
        """The states of the rows `index`, in that order."""
        return [decoder.reorder_state(own, index) for decoder, own in zip(self.decoders, state, strict=True)]


class EnsembleOutput:
    """Output layers as one, over their inputs one behind the other.

    Args:
        outputs: the output layers.
    """

    def __init__(self, outputs: Sequence[Any]) -> None:
        self.outputs = list(outputs)
        self.widths = [output.weight.shape[1] for output in outputs]

    def __call__(self, x: Tensor) -> Tensor:
        """(…, V) log-probabilities of (…, Σ E) inputs."""
        return _mean([output(own) for output, own in zip(self.outputs, x.split(self.widths, -1), strict=True)])

    def loss(self, x_NE: Tensor, target_N: Tensor, *, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy over rows, twice, as of `OutputLayer.loss`; without smoothing or gradients."""
        if smoothing:
            raise NotImplementedError("an ensemble is measured, not trained: it has no smoothed loss")
        with torch.no_grad():
            nll = -of_targets(self, x_NE, target_N).sum()
        return nll, nll


def _mean(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of the distributions that logits stand for."""
    total = logits[0].log_softmax(-1, dtype=torch.float32)
    for one in logits[1:]:
        total = torch.logaddexp(total, one.log_softmax(-1, dtype=torch.float32))
    return total - math.log(len(logits))
