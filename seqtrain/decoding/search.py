"""Greedy search, beam search and sampling: one loop for every decoder."""

import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqtrain.decoding.candidates import Candidates, best, ending
from seqtrain.decoding.sampling import Draws
from seqtrain.decoding.settings import Decoding, Hypothesis


class StepDecoder(Protocol):
    """What search needs of a decoder. A state's rows are hypotheses."""

    def init_state(self, memory: Any) -> Any: ...

    def step(self, tokens_B: Tensor, state: Any) -> tuple[Tensor, Any]: ...

    def reorder_state(self, state: Any, index: Tensor) -> Any: ...


@torch.no_grad()
def search(
    decoder: StepDecoder,
    memory: Any,
    *,
    sentences: int,
    device: torch.device,
    settings: Decoding,
    bos: int,
    eos: int,
    never: list[int],
    numbers: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses of every sentence, best first; or its samples, in the order of their numbers.

    A sentence leaves the batch once `beam` of its hypotheses have ended and no open one has, as it stands, a better
    score than the worst of these (with `early_stopping`, once `beam` have ended); a sample, once it has ended. So what
    is found for it depends on nothing else in the batch, and no time is spent on finished rows. A hypothesis that
    reaches `max_length` is ended there, and the end counts with its probability. Where nothing has a probability, as in
    a model that diverged to NaN, the only hypothesis is the empty one, of score -inf.

    Args:
        decoder: see `StepDecoder`.
        memory: what the decoder starts from.
        sentences: number of sentences in `memory`.
        device: where the decoder computes.
        settings: how to search, how many results, the longest hypothesis.
        bos: the token that starts a hypothesis.
        eos: the token that ends it.
        never: tokens that are never written.
        numbers: (sentences,) what a sentence's draws depend on besides the seed; its place here without them.
    """
    samples = settings.n_best if settings.sample else 1
    state = decoder.init_state(memory)
    if samples > 1:  # each is searched for as a sentence of its own, with a beam of one
        state = decoder.reorder_state(state, torch.arange(sentences, device=device).repeat_interleave(samples))
    draws = Draws(range(sentences) if numbers is None else numbers.tolist(), settings) if settings.sample else None
    found = _Found(sentences * samples, settings, eos)
    forbidden = torch.tensor(never, dtype=torch.long, device=device)
    open_R = np.arange(sentences * samples)
    scores_RK = torch.zeros(len(open_R), 1, device=device)
    tokens_N = torch.full((len(open_R),), bos, device=device)
    for length in range(1, settings.max_length + 1):
        logits, state = decoder.step(tokens_N, state)
        if length == 1:  # one memory for all steps: fresh memory costs a processor as much as the softmax does
            rows = len(open_R) * settings.beam
            held = torch.empty(rows, logits.shape[1], dtype=torch.float32, device=device)
        log_p_NV = torch.log_softmax(logits, -1, dtype=torch.float32, out=held[: len(logits)])
        if length == settings.max_length:
            found.collect(open_R, ending(log_p_NV, scores_RK, eos))
            break
        log_p_NV.index_fill_(1, forbidden, -torch.inf)
        if draws is not None:
            candidates = draws(log_p_NV, scores_RK, open_R, length)
        else:
            candidates = best(log_p_NV, scores_RK, beam=settings.beam)
        open_R, scores, came_from = found.collect(open_R, candidates)
        if not len(open_R):
            break
        scores_RK, tokens_N = torch.from_numpy(scores).to(device), torch.from_numpy(found.tokens[-1]).to(device)
        if not np.array_equal(came_from, np.arange(len(logits))):
            state = decoder.reorder_state(state, torch.from_numpy(came_from).to(device))
    results = found.hypotheses()
    if draws is None:
        return results
    return [[sample for (sample,) in results[i : i + samples]] for i in range(0, len(results), samples)]


class _Found:
    """What has been found so far: hypotheses that have ended, and the way that led to every open one.

    Open hypotheses are rows; of each step the next token and the row of the step before are kept, and no row's whole
    text, which only what has ended and is returned needs.

    Args:
        sentences: number of sentences.
        settings: how many hypotheses, and how they are ranked.
        eos: the token that ends a hypothesis.

    Attributes:
        tokens: of every step the (N,) tokens that its rows go on with.
    """

    def __init__(self, sentences: int, settings: Decoding, eos: int) -> None:
        self.tokens: list[np.ndarray] = []
        self._parents: list[np.ndarray] = []
        self._settings, self._eos = settings, eos
        self._width = 1  # open hypotheses a sentence
        # Score, log-probability, length and last row of the best that have ended, of each sentence.
        self._ended: list[list[tuple[float, float, int, int]]] = [[] for _ in range(sentences)]
        self._bar = np.full(sentences, -np.inf)  # what an open hypothesis has to be better than

    def collect(self, open_R: np.ndarray, candidates: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keeps what ends among the best `beam` candidates of each sentence, and the best `beam` that go on.

        Args:
            open_R: (R,) the numbers of the sentences that are still searched.
            candidates: of each of these.

        Returns:
            The (R',) sentences that are searched on, the (R', K') scores of their open hypotheses, and the (R' * K',)
            rows that these come from.
        """
        K, length = self._settings.beam, len(self.tokens) + 1
        scores_RC, parents_RC, tokens_RC = (x.cpu().numpy() for x in candidates)
        ends_RC = (tokens_RC == self._eos) & np.isfinite(scores_RC)
        self._end(open_R, ends_RC[:, :K], scores_RC, parents_RC, length)
        # In their order: ended ones are sorted behind, and where too few go on they count for nothing.
        order_RK = np.argsort(ends_RC, axis=1, kind="stable")[:, :K]
        open_RC = np.where(ends_RC, np.float32(-np.inf), scores_RC)
        scores_RK, parents_RK, tokens_RK = (
            np.take_along_axis(x, order_RK, 1) for x in (open_RC, parents_RC, tokens_RC)
        )
        going = scores_RK[:, 0] > -np.inf
        going &= scores_RK[:, 0].astype(np.float64) / length**self._settings.length_penalty > self._bar[open_R]
        rows_RK = np.arange(len(open_R))[:, None] * self._width + parents_RK
        self._width = order_RK.shape[1]
        rows = rows_RK[going].reshape(-1)
        self.tokens.append(tokens_RK[going].reshape(-1))
        self._parents.append(rows)
        return open_R[going], scores_RK[going], rows

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The best of every sentence, best first."""
        nothing = [Hypothesis([], -math.inf, -math.inf)]
        count = 1 if self._settings.sample else self._settings.n_best
        return [[self._hypothesis(*one) for one in ended[:count]] or nothing for ended in self._ended]

    def _end(
        self, open_R: np.ndarray, ends_RK: np.ndarray, scores_RC: np.ndarray, parents_RC: np.ndarray, length: int
    ) -> None:
        K, penalty = self._settings.beam, length**self._settings.length_penalty
        for r, c in zip(*(place.tolist() for place in ends_RK.nonzero()), strict=True):
            sentence = open_R[r]
            ended = self._ended[sentence]
            log_probability = float(scores_RC[r, c])
            row = r * self._width + int(parents_RC[r, c])
            ended.append((log_probability / penalty, log_probability, length, row))
            ended.sort(key=lambda one: -one[0])
            del ended[K:]
            if len(ended) == K:
                self._bar[sentence] = math.inf if self._settings.early_stopping else ended[-1][0]

    def _hypothesis(self, score: float, log_probability: float, length: int, row: int) -> Hypothesis:
        tokens = []
        for step in range(length - 2, -1, -1):
            tokens.append(int(self.tokens[step][row]))
            row = self._parents[step][row]
        return Hypothesis(tokens[::-1], log_probability, score)
