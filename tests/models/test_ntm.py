"""The neural Turing machine as a model, and the Transformer on its tasks."""

from functools import partial
from typing import Any

import pytest
import torch

from seqtrain.data.copy import Copy
from seqtrain.decoding.positions import check_data
from seqtrain.errors import UserError
from seqtrain.tasks.bits import Bits
from tests.models.examples import ALL, BITS, bits, overfit, tiny

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ntm": ("ntm", {}),
    "ntm with an lstm": ("ntm", {"controller": "lstm", "reads": 2, "writes": 2}),
    "ntm that reads before": ("ntm", {"read": "before", "memory": "learned", "weighting": "learned"}),
    "transformer": ("transformer", {}),
    "transformer, rotary, post": ("transformer", {"positions": "rotary", "norm": "post", "heads": 2}),
}
EVERY = pytest.mark.parametrize("which", MODELS)


def made(which: str, task: Bits = BITS) -> Any:
    name, options = MODELS[which]
    return tiny(name, task, **options)


@EVERY
def test_overfits_a_batch(which: str) -> None:
    model, batch = made(which), bits()
    assert overfit(model, batch, steps=150) < 0.3
    sums = {key: float(value) for key, value in model.measure(batch).sums.items()}
    assert model.task.metrics(sums)["exact"] == 1.0


@EVERY
@torch.no_grad()
def test_a_sequence_does_not_depend_on_its_batch(which: str) -> None:
    model = made(which).eval()
    together, alone = model.measure(bits()), [model.measure(bits([row])) for row in ALL]
    for key, value in together.sums.items():
        torch.testing.assert_close(value, torch.stack([single.sums[key] for single in alone]).sum(0))


@EVERY
@torch.no_grad()
def test_what_is_written_does_not_see_what_comes(which: str) -> None:
    network, lengths = made(which).network.eval(), torch.tensor([6])
    inputs = torch.randn(1, 6, 2)
    other = inputs.clone()
    other[:, 3:] = torch.randn(1, 3, 2)
    before, after = network(inputs, lengths), network(other, lengths)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@EVERY
def test_gradients_reach_every_parameter(which: str) -> None:
    model = made(which)
    model.measure(bits()).loss.backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())


def test_compiled_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tiny("ntm", BITS)
    without = partial(torch.compile, backend="aot_eager", fullgraph=True)  # without a C++ compiler
    monkeypatch.setattr(torch, "compile", without)
    compiled = tiny("ntm", BITS, compile=True)
    compiled.load_state_dict(plain.state_dict())  # a checkpoint of either is one of the other
    losses = [model.measure(bits()).loss for model in (plain, compiled)]
    torch.testing.assert_close(losses[1], losses[0])
    for loss in losses:
        loss.backward()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)


def test_only_learned_positions_end() -> None:
    inputs, lengths = torch.randn(1, 9, 2), torch.tensor([9])
    assert tiny("transformer", BITS, max_positions=8).network(inputs, lengths).shape == (1, 9, 3)
    with pytest.raises(UserError, match="a sequence has 9 steps, more than the 8 positions of the model"):
        tiny("transformer", BITS, positions="learned", max_positions=8).network(inputs, lengths)


def test_what_is_measured() -> None:
    """Bits a sequence are a sum over what is asked for, wrong ones are counted, padding is neither."""

    def network(inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.full((*inputs.shape[:2], 3), 2.0)

    batch = bits()
    measures = BITS.measure(network, batch, smoothing=0.0)
    asked = [(b, t) for b in range(4) for t in range(1, int(batch.lengths[b]))]
    p = torch.sigmoid(torch.tensor(2.0, dtype=torch.float64))
    costs = [-(p if batch.targets[b, t, o] else 1 - p).log2().item() for b, t in asked for o in range(3)]
    found = BITS.metrics({key: float(value) for key, value in measures.sums.items()})
    assert found["bits"] == pytest.approx(sum(costs) / 4)
    assert found["loss"] == found["bits"] == pytest.approx(measures.loss.item())
    wrong = sum(not batch.targets[b, t, o] for b, t in asked for o in range(3))
    assert found["wrong_bits"] == wrong / 4
    assert found["accuracy"] == pytest.approx(1 - wrong / (3 * len(asked)))


def test_chance_is_what_an_untrained_network_costs_about() -> None:
    data = Copy(seed=1, val_size=30)
    data.setup()
    model = tiny("ntm", data.task, slots=16).eval()
    with torch.no_grad():
        batch = next(iter(data._loader("val")))
        cost = model.measure(batch).loss.item()
    chance = batch.asked.sum().item() * 8 / len(batch)
    assert cost == pytest.approx(chance, rel=0.1)


def test_shifts_fit_into_the_memory() -> None:
    tiny("ntm", BITS, slots=7, reach=3)
    with pytest.raises(UserError, match=r"model\.reach=4: 8 slots have no room for 9 shifts"):
        tiny("ntm", BITS, slots=8, reach=4)


def test_learned_positions_are_checked_before_training() -> None:
    data = Copy(seed=1, test_lengths=[20, 120])
    model = tiny("transformer", BITS, positions="learned", max_positions=100)
    with pytest.raises(UserError, match=r"250 of 500 test sequences are longer than the 100 positions .*has 241 steps"):
        check_data(data, model.network, ("train", "val", "test"))
