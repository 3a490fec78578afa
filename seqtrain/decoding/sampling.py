"""Drawing the next token, so that what a sentence gets depends on nothing but the model, the seed and its number."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from seqtrain.decoding.candidates import Candidates
from seqtrain.decoding.settings import Decoding

USUAL = 512
"""Tokens among which the nucleus is looked for before all are sorted."""


class Draws:
    """Draws a token for every row, by one uniform number a step and the inverse of the cumulative distribution.

    The uniform numbers are those of a counter-based generator (Philox, Salmon et al. 2011) whose key is the seed, and
    whose counter begins with the sentence's number and the sample's: the same in any batch and any order.

    Args:
        numbers: of the sentences; each has `settings.n_best` rows, one behind the other.
        settings: seed, temperature, `top_k`, `top_p`.
    """

    def __init__(self, numbers: Iterable[int], settings: Decoding) -> None:
        self._settings = settings
        rows = [(number, sample) for number in numbers for sample in range(settings.n_best)]
        self._uniform_NT = np.stack([_uniform(settings.seed, *row, settings.max_length) for row in rows])

    def __call__(self, log_p_NV: Tensor, scores_N1: Tensor, rows_N: np.ndarray, length: int) -> Candidates:
        """The tokens that are drawn at step `length`, from 1, for the rows that are still open."""
        weights, tokens = filtered(log_p_NV, self._settings)
        cumulative = weights.double().cumsum(1)
        uniform_N1 = torch.from_numpy(self._uniform_NT[rows_N, length - 1 : length]).to(log_p_NV.device)
        # The first token at which the sum is beyond: one of weight 0 never is.
        place_N1 = torch.searchsorted(cumulative, uniform_N1 * cumulative[:, -1:], right=True)
        place_N1 = place_N1.clamp(max=cumulative.shape[1] - 1)  # where nothing has a probability (NaN)
        tokens_N1 = place_N1 if tokens is None else tokens.gather(1, place_N1)
        scores_N1 = scores_N1 + log_p_NV.gather(1, tokens_N1)
        return Candidates(scores_N1, torch.zeros_like(tokens_N1), tokens_N1)


def filtered(log_p_NV: Tensor, settings: Decoding) -> tuple[Tensor, Tensor | None]:
    """The distributions that are drawn from: softmax(log p / temperature) of the `top_k` most probable tokens, and of
    these the fewest that together reach `top_p`.

    Returns:
        (N, C) weights, and the (N, C) tokens that they belong to; None where these are 0, 1, 2, …
    """
    V = log_p_NV.shape[1]
    count = min(settings.top_k or V, V)
    # Its maximum is 0, so that no temperature is too low.
    scaled_NV = (log_p_NV - log_p_NV.amax(1, keepdim=True)) / settings.temperature
    if settings.top_p == 1:
        if count == V:
            return scaled_NV.softmax(1), None
        scaled_NC, tokens = scaled_NV.topk(count, dim=1)
        return scaled_NC.softmax(1), tokens
    if count <= USUAL:
        scaled_NC, tokens = scaled_NV.topk(count, dim=1)
        return _nucleus(scaled_NC.softmax(1), settings.top_p)[0], tokens
    return _nucleus_of_many(scaled_NV, count, settings.top_p)


def _nucleus_of_many(scaled_NV: Tensor, count: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Sorts the usual few, and everything only in rows whose nucleus is larger; so no row depends on another."""
    first, tokens = scaled_NV.topk(USUAL, dim=1)
    of_all = scaled_NV if count == scaled_NV.shape[1] else scaled_NV.topk(count, dim=1).values
    weights, reached_N = _nucleus((first - of_all.logsumexp(1, keepdim=True)).exp(), top_p)
    if reached_N.all():
        return weights, tokens
    wide = torch.zeros(len(scaled_NV), count, dtype=weights.dtype, device=weights.device)
    wide_tokens = torch.zeros(wide.shape, dtype=tokens.dtype, device=tokens.device)
    wide[:, :USUAL], wide_tokens[:, :USUAL] = weights, tokens
    rest = ~reached_N
    values, places = scaled_NV[rest].topk(count, dim=1)
    wide[rest], wide_tokens[rest] = _nucleus(values.softmax(1), top_p)[0], places
    return wide, wide_tokens


def _nucleus(p_NC: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities, largest first, without those behind the sum `top_p`; and whether the sum is reached."""
    sums_NC = p_NC.double().cumsum(1)
    return p_NC * (sums_NC - p_NC < top_p), sums_NC[:, -1] >= top_p


def _uniform(seed: int, sentence: int, sample: int, count: int) -> np.ndarray:
    """(count,) numbers from 0 up to, but not including, 1; the first ones do not depend on how many there are."""
    generator = np.random.Philox(key=seed, counter=np.array([0, 0, sentence, sample], dtype=np.uint64))
    # 52 bits: the product with any sum of weights then is less than the sum, however it is rounded.
    return (np.asarray(generator.random_raw(count), dtype=np.uint64) >> np.uint64(12)) * 2.0**-52
