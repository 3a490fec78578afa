"""Answering: loss and metrics of questions, some with an answer that training has never seen, against NumPy."""

import numpy as np
import pytest
import torch

from seqtrain.tasks.answering import Answering, AnsweringBatch
from tests.tasks.by_hand import cross_entropy, draw, metrics

TASK = Answering(vocabulary=9, answers=("garden", "kitchen", "office"), answer_words=(3, 6, 7), sentences=4)


def batch(answers: list[int], supports: list[list[int]] | None = None) -> AnsweringBatch:
    B = len(answers)
    story, question = torch.ones(B, 4, 3, dtype=torch.long), torch.ones(B, 3, dtype=torch.long)
    facts = torch.zeros(B, 0, dtype=torch.long) if supports is None else torch.tensor(supports)
    return AnsweringBatch(torch.arange(B), story, question, torch.tensor(answers), facts)


class Attends:
    """What attends to sentences, and has a loss of its own."""

    def __init__(self, logits: torch.Tensor, hops: torch.Tensor, *, training: bool = False) -> None:
        self.logits, self.hops, self.training = logits, hops, training

    def read(self, story: torch.Tensor, question: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.logits, self.hops

    def learn(self, batch: AnsweringBatch, *, smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
        return 6.0 + smoothing * self.logits.sum(), self.logits


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_known_answers(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, answers = draw(5, 3), [0, 2, 1, 1, 0]
    measures = TASK.measure(lambda story, question: logits, batch(answers), smoothing=smoothing)
    rows, right = logits.detach().numpy(), np.array(answers)
    assert measures.loss.item() == pytest.approx(cross_entropy(rows, right, smoothing).mean(), rel=1e-5)
    hits = rows.argmax(1) == right
    assert metrics(TASK, measures) == pytest.approx(
        {
            "loss": measures.loss.item(),
            "nll": cross_entropy(rows, right).mean(),
            "accuracy": hits.mean(),
            "error": 1 - hits.mean(),
        },
        rel=1e-5,
    )
    assert measures.each["accuracy"].tolist() == hits.astype(float).tolist()


def test_an_unknown_answer_is_an_error_without_a_likelihood() -> None:
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 3.0], [0.0, 3.0, 0.0]], requires_grad=True)
    measures = TASK.measure(lambda *_: logits, batch([0, -1, 1]), smoothing=0.0)
    nll = cross_entropy(np.array([[3.0, 0.0, 0.0]]), np.array([0]))[0]
    assert measures.loss.item() == pytest.approx(nll)
    assert measures.each["accuracy"].tolist() == [1.0, 0.0, 1.0]
    found = metrics(TASK, measures)
    assert found["nll"] == pytest.approx(nll)
    assert (found["accuracy"], found["error"]) == pytest.approx((2 / 3, 1 / 3))
    measures.loss.backward()
    assert logits.grad is not None
    assert not logits.grad[1].any()


def test_nothing_but_unknown_answers() -> None:
    logits = draw(2, 3)
    measures = TASK.measure(lambda *_: logits, batch([-1, -1]), smoothing=0.0)
    assert measures.loss.item() == 0.0
    measures.loss.backward()
    assert metrics(TASK, measures) == {"loss": 0.0, "nll": 0.0, "accuracy": 0.0, "error": 1.0}


def test_supporting_sentences_are_those_that_some_hop_attends_to_most() -> None:
    hops = torch.tensor([[[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.7, 0.0]]]).expand(5, 2, 4)
    supports = [[0, 2], [2, -1], [0, 1], [-1, -1], [2, 2]]
    network = Attends(draw(5, 3), hops)
    measures = TASK.measure(network, batch([0] * 5, supports), smoothing=0.0)
    assert metrics(TASK, measures)["supported"] == 3 / 4  # the third needs sentence 1; the fourth does not count
    assert "supported" not in metrics(TASK, TASK.measure(network, batch([0] * 5), smoothing=0.0))


def test_a_loss_of_its_own_is_for_training() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    hops, asked = torch.full((3, 1, 4), 0.25), batch([0, 1, -1])
    measures = TASK.measure(Attends(logits, hops, training=True), asked, smoothing=0.5)
    assert measures.loss.item() == pytest.approx((6 + 0.5 * 3) / 2)  # a mean over the known
    found = metrics(TASK, measures)
    nll = cross_entropy(logits.detach().numpy()[:2], np.array([0, 1])).mean()
    assert (found["loss"], found["nll"], found["error"]) == pytest.approx((measures.loss.item(), nll, 1 / 3))
    assert TASK.measure(Attends(logits, hops), asked, smoothing=0.0).loss.item() == pytest.approx(nll)
