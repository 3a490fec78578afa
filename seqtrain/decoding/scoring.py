"""The log-probability of given translations."""

from typing import Any

import torch
from torch import Tensor

from seqtrain.layers.output import CHUNK
from seqtrain.tasks.translation import PAD, TranslationBatch


@torch.no_grad()
def log_probabilities(network: Any, batch: TranslationBatch) -> Tensor:
    """(B,) log p(target | source), ends of sentences included, as `Hypothesis.log_probability`; float64.

    Args:
        network: offers `teach(source_BS, lengths_B, tokens_BT)` and `decoder.output`, as `EncoderDecoder`.
        batch: sentence pairs.
    """
    s_BTE = network.teach(batch.source, batch.source_lengths, batch.target[:, :-1])
    target_BT = batch.target[:, 1:]
    real_BT = target_BT != PAD
    log_p_N = of_targets(network.decoder.output, s_BTE[real_BT], target_BT[real_BT])
    return log_p_N.new_zeros(len(batch)).index_add_(0, real_BT.nonzero()[:, 0], log_p_N)


def of_targets(output: Any, x_NE: Tensor, target_N: Tensor) -> Tensor:
    """(N,) log p of the right tokens, float64; logits are held of `CHUNK` rows at a time.

    Args:
        output: maps (…, E) inputs to (…, V) logits.
        x_NE: (N, E) inputs.
        target_N: (N,) the right tokens.
    """
    found = [
        output(x).log_softmax(-1, dtype=torch.float32).gather(1, right.unsqueeze(1)).squeeze(1)
        for x, right in zip(x_NE.split(CHUNK), target_N.split(CHUNK), strict=True)
    ]
    return torch.cat(found).double()
