"""Answering: a story and a question go in, one of the known answers comes out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from seqtrain.tasks.base import Batch, Goal, Measures, Task


@dataclass
class AnsweringBatch(Batch):
    """A batch of questions, each with its story.

    Attributes:
        story: (B, M, W) word ids of the sentences, the oldest first, padded with 0 behind in both directions.
        question: (B, W) word ids, padded with 0 behind.
        answers: (B,) answer ids; -1 is one that was never seen in training.
        supports: (B, K) places in the story of the sentences that the answer follows from, not always in the order of
            the inference, -1 behind; K is 0 where they are not known.
    """

    story: torch.Tensor
    question: torch.Tensor
    answers: torch.Tensor
    supports: torch.Tensor


@dataclass(frozen=True)
class Answering(Task):
    """Sizes that a question answerer is built for.

    Attributes:
        vocabulary: number of words, padding (id 0) included.
        answers: the answers, in the order of their ids; one that is a list is one answer, joined by commas.
        answer_words: for every answer its id in the vocabulary: a list, too, is a word of its own there.
        sentences: the most sentences M of a story.
    """

    name: ClassVar[str] = "answering"
    monitor: ClassVar[str] = "val/accuracy"
    goal: ClassVar[Goal] = "max"

    vocabulary: int
    answers: tuple[str, ...]
    answer_words: tuple[int, ...]
    sentences: int

    def measure(self, network: Any, batch: AnsweringBatch, *, smoothing: float) -> Measures:
        """Cross-entropy of the answers, a mean over questions, and how many are right.

        A network that attends to sentences also has `read`, which returns its logits and, for every one of its hops,
        the weights of the sentences, (B, K, M): then `supported` is the share of questions all of whose supporting
        sentences have the highest weight of some hop, so one with fewer hops than a question has supporting sentences
        cannot reach it for that question. A network that has `learn` is trained by that instead of the
        cross-entropy: it maps a batch to its loss, a sum over questions, and (B, A) logits.

        Args:
            network: maps (B, M, W) stories and (B, W) questions to (B, A) logits.
            batch: questions with their stories.
            smoothing: share of the target distribution spread over the answers; `nll` is always without it.
        """
        hops_BKM = None
        loss = None
        if hasattr(network, "learn") and network.training:
            loss, logits_BA = network.learn(batch, smoothing=smoothing)
        elif hasattr(network, "read"):
            logits_BA, hops_BKM = network.read(batch.story, batch.question)
        else:
            logits_BA = network(batch.story, batch.question)
        logits_BA = logits_BA.float()
        # An answer that was never seen in training has no class (id -1): it is never given, and counts as an error.
        known_B = batch.answers >= 0
        logits_NA, answer_N = logits_BA[known_B], batch.answers[known_B]
        if loss is None:
            loss = F.cross_entropy(logits_NA, answer_N, label_smoothing=smoothing, reduction="sum")
        nll = F.cross_entropy(logits_NA.detach(), answer_N, reduction="sum")
        right_B = logits_BA.argmax(1) == batch.answers
        count = torch.tensor(len(batch), device=logits_BA.device)
        known = known_B.sum()
        sums = {"nll": nll, "loss": loss.detach(), "known": known, "correct": right_B.sum(), "count": count}
        if hops_BKM is not None:
            given_B = (batch.supports >= 0).any(1)
            sums |= {
                "supported": (_supported(hops_BKM, batch.supports) & given_B).sum(),
                "with_supports": given_B.sum(),
            }
        return Measures(loss / known.clamp(min=1), sums, {"accuracy": right_B.float()})

    def metrics(self, sums: dict[str, float]) -> dict[str, float]:
        """Loss and negative log-likelihood (nats an answer that is known), accuracy and error (shares of all).

        And `supported`, a share of the questions whose supporting sentences are known, where the network attends.
        """
        known = max(sums["known"], 1)
        accuracy = sums["correct"] / sums["count"]
        found = {"loss": sums["loss"] / known, "nll": sums["nll"] / known, "accuracy": accuracy, "error": 1 - accuracy}
        if sums.get("with_supports"):
            found["supported"] = sums["supported"] / sums["with_supports"]
        return found


def most_probable(
    network: Any, story_BMW: torch.Tensor, question_BW: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """What a network answers.

    Returns:
        (B,) probabilities of the most probable answers, (B,) their ids and, of a network that has `read`, (B, K, M)
        weights of the sentences in its K hops; in 32 bits.
    """
    hops_BKM = None
    if hasattr(network, "read"):
        logits_BA, hops_BKM = network.read(story_BMW, question_BW)
        hops_BKM = hops_BKM.float()
    else:
        logits_BA = network(story_BMW, question_BW)
    probability_B, best_B = logits_BA.float().softmax(1).max(1)
    return probability_B, best_B, hops_BKM


def _supported(hops_BKM: torch.Tensor, supports_BK: torch.Tensor) -> torch.Tensor:
    """(B,) whether every supporting sentence has the highest weight of some hop."""
    highest_BK = hops_BKM.argmax(2)
    attended_BK = (supports_BK.unsqueeze(2) == highest_BK.unsqueeze(1)).any(2)
    return (attended_BK | (supports_BK < 0)).all(1)
