"""`memnn` and `entnet` as models: they learn a batch by heart, and depend on nothing but their input."""

from types import SimpleNamespace

import pytest
import torch

from seqtrain.errors import UserError
from tests.models.examples import ALL, QUESTIONS, overfit, questions, tiny

MODELS = pytest.mark.parametrize("name", ["memnn", "entnet"])


@MODELS
def test_overfits_a_batch(name: str) -> None:
    model, batch = tiny(name, QUESTIONS), questions()
    before = model.measure(batch).loss.item()
    assert overfit(model, batch, steps=80) < before / 10
    found = QUESTIONS.metrics({key: float(value) for key, value in model.eval().measure(batch).sums.items()})
    assert found["accuracy"] == 1.0
    assert found.get("supported", 1.0) == 1.0


@MODELS
@torch.no_grad()
def test_a_question_does_not_depend_on_its_batch(name: str) -> None:
    model = tiny(name, QUESTIONS).eval()
    together, alone = model.measure(questions()), [model.measure(questions([row])) for row in ALL]
    for key in ("nll", "loss", "correct", "count"):
        torch.testing.assert_close(together.sums[key], torch.stack([single.sums[key] for single in alone]).sum(0))
    torch.testing.assert_close(together.each["accuracy"], torch.cat([single.each["accuracy"] for single in alone]))


@MODELS
def test_bfloat16_is_near(name: str) -> None:
    model = tiny(name, QUESTIONS)
    exact = model.measure(questions())
    with torch.autocast("cpu", torch.bfloat16):
        near = model.measure(questions())
        near.loss.backward()
    torch.testing.assert_close(near.loss.float(), exact.loss, rtol=0.05, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("told", [True, False])
def test_supporting_sentences_are_needed(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny("memnn", QUESTIONS), SimpleNamespace(supported=lambda split: told and split == "train")
    monkeypatch.setattr(type(model), "trainer", SimpleNamespace(datamodule=data))
    if told:
        model.on_fit_start()
    else:
        with pytest.raises(UserError, match="which sentences an answer follows from"):
            model.on_fit_start()
