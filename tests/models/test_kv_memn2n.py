"""`model=kv_memn2n`: it learns, and what it cannot learn from sentences it learns from keys and values."""

import pytest
import torch

from seqtrain.tasks.answering import Answering, AnsweringBatch
from tests.models.examples import overfit, questions, tiny

TASK = Answering(vocabulary=9, answers=("garden", "kitchen", "office"), answer_words=(3, 6, 7), sentences=3)
PEOPLE = Answering(vocabulary=8, answers=tuple("abcdef"), answer_words=tuple(range(2, 8)), sentences=2)


@pytest.mark.parametrize("memories", ["sentence", "window", "triple"])
def test_a_batch_is_learnt_by_heart(memories: str) -> None:
    model = tiny("kv_memn2n", TASK, memories=memories)
    assert overfit(model, questions(), steps=60) < 0.05
    assert model.measure(questions()).each["accuracy"].tolist() == [1.0] * 4


def teaching() -> AnsweringBatch:
    """Whom (word 1) each of six people taught, where another one taught them: all circles of three."""
    rows = [(a, b, c) for a in range(2, 8) for b in range(2, 8) for c in range(2, 8) if len({a, b, c}) == 3]
    taught, asked = [[[a, 1, b], [c, 1, a]] for a, b, c in rows], [[1, a, 0] for a, _, _ in rows]
    return AnsweringBatch(
        index=torch.arange(len(rows)),
        story=torch.tensor(taught),
        question=torch.tensor(asked),
        answers=torch.tensor([b - 2 for _, b, _ in rows]),
        supports=torch.zeros(len(rows), 1, dtype=torch.long),
    )


def test_keys_apart_from_values_tell_who_did_from_to_whom() -> None:
    share = {}
    for memories in ("sentence", "triple"):
        model = tiny("kv_memn2n", PEOPLE, memories=memories, temporal=False, embedding=16)
        overfit(model, teaching(), steps=50)
        share[memories] = model.measure(teaching()).each["accuracy"].mean().item()
    assert share["triple"] > 0.99
    assert share["sentence"] < 0.6  # the two facts are the same bag but for one word, which is the answer or is not
