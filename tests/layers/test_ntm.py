"""The neural Turing machine against its equations, written in NumPy for one sequence, slot by slot."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.errors import UserError
from seqtrain.layers.ntm import CONSTANT, NeuralTuringMachine, by_content, sharpened, shifted, written

SIZES: dict[str, Any] = {
    "inputs": 3,
    "outputs": 2,
    "controller": "feedforward",
    "hidden": 7,
    "slots": 6,
    "width": 4,
    "reads": 2,
    "writes": 2,
    "reach": 1,
    "memory": "learned",
    "weighting": "learned",
    "read": "after",
    "clamp": None,
}


def machine(**options: Any) -> NeuralTuringMachine:
    torch.manual_seed(3)
    made = NeuralTuringMachine(**{**SIZES, **options}).double()
    for parameter in made.parameters():  # larger than they start: gates that are open and shut, sharp weightings
        parameter.data.mul_(3)
    return made


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x))
    return e / e.sum()


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def length(u: np.ndarray) -> Any:
    """That of a vector, and a thousandth."""
    return np.sqrt(np.linalg.norm(u) ** 2 + 1e-6)


def address(head: dict[str, Any], M: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Equations 5 to 9 for one head."""
    N = len(M)
    K = np.array([head["k"] @ row / (length(head["k"]) * length(row)) for row in M])
    content = np.exp(head["beta"] * K) / np.exp(head["beta"] * K).sum()
    gated = head["g"] * content + (1 - head["g"]) * before
    moved = np.zeros(N)
    for i in range(N):
        for j in range(N):
            for shift, share in head["s"].items():
                if (i - j) % N == shift % N:
                    moved[i] += gated[j] * share
    return moved ** head["gamma"] / (moved ** head["gamma"]).sum()


def by_hand(made: NeuralTuringMachine, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (T, O) and weightings (T, P, N) of one sequence (T, I)."""
    p = {name: value.detach().numpy() for name, value in made.state_dict().items()}
    R, K, D, H, reach = made.reads, made.writes, made.width, made.controller.hidden, made.reach
    P, J = R + K, 2 * reach + 1
    M, w = p["memory_ND"].copy(), np.array([softmax(row) for row in p["weighting_PN"]])
    r = np.concatenate([w[i] @ M for i in range(R)])
    h, c = np.zeros(H), np.zeros(H)
    outputs, weightings = [], []
    for x in inputs:
        if "controller.linear.weight" in p:
            h = np.tanh(p["controller.linear.weight"] @ x + p["controller.linear.bias"] + p["from_found.weight"] @ r)
        else:
            sums = p["controller.weight_ih"] @ x + p["controller.weight_hh"] @ h + p["controller.bias"]
            i, f, g, o = np.split(sums + p["from_found.weight"] @ r, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        y = p["to_heads.weight"] @ h + p["to_heads.bias"]
        k, beta, g, s, gamma, e, a = np.split(y, np.cumsum([P * D, P, P, P * J, P, K * D]))
        heads = [
            {
                "k": k[n * D : (n + 1) * D],
                "beta": softplus(beta[n]),
                "g": sigmoid(g[n]),
                "s": dict(zip(range(-reach, reach + 1), softmax(s[n * J : (n + 1) * J]), strict=True)),
                "gamma": 1 + softplus(gamma[n]),
            }
            for n in range(P)
        ]
        before = M.copy()
        new = w.copy()
        for n in range(R, P):
            new[n] = address(heads[n], before, w[n])
        for n in range(K):
            M = M * (1 - np.outer(new[R + n], sigmoid(e[n * D : (n + 1) * D])))
        for n in range(K):
            M = M + np.outer(new[R + n], a[n * D : (n + 1) * D])
        looked_at = before if made.read_before else M
        for n in range(R):
            new[n] = address(heads[n], looked_at, w[n])
        w = new
        r = np.concatenate([w[n] @ looked_at for n in range(R)])
        outputs.append(p["output.weight"] @ np.concatenate([h, r]) + p["output.bias"])
        weightings.append(w.copy())
    return np.array(outputs), np.array(weightings)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"read": "before"},
        {"controller": "lstm"},
        {"reads": 1, "writes": 1},
        {"reads": 3, "writes": 1, "reach": 2},
        {"reach": 0},
    ],
    ids=str,
)
def test_every_step_is_that_of_the_equations(options: dict[str, Any]) -> None:
    made = machine(**options)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        outputs, trace = made.run(inputs)
    for row in range(2):
        expected, weightings = by_hand(made, inputs[row].numpy())
        np.testing.assert_allclose(outputs[row].numpy(), expected, rtol=1e-5, atol=1e-6)
        found = torch.cat([trace.reads[row], trace.writes[row]], dim=1).numpy()
        np.testing.assert_allclose(found, weightings, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("slot", [0, 3, 5])
@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2])
def test_a_shift_moves_a_weighting_round_the_memory(slot: int, shift: int) -> None:
    w, s = torch.zeros(1, 1, 6), torch.zeros(1, 1, 5)
    w[0, 0, slot], s[0, 0, shift + 2] = 1, 1
    assert shifted(w, s)[0, 0].tolist() == [float(i == (slot + shift) % 6) for i in range(6)]


@settings(deadline=None)
@given(st.floats(1.0, 50.0), st.lists(st.floats(0.0, 1.0, allow_subnormal=False), min_size=2, max_size=9))
def test_sharpening_keeps_the_order_and_the_sum(gamma: float, values: list[float]) -> None:
    w = torch.tensor(values, dtype=torch.float64)
    if w.sum() == 0:
        w = w + 1
    w = w / w.sum()
    found = sharpened(w.view(1, 1, -1), torch.tensor([[gamma]], dtype=torch.float64))[0, 0]
    assert found.sum().item() == pytest.approx(1)
    assert (found[w.argsort()].diff() >= -1e-12).all()
    if (w > 1e-3).all() and gamma < 10:
        torch.testing.assert_close(found, w**gamma / (w**gamma).sum(), rtol=1e-3, atol=1e-6)


def test_a_sharp_key_finds_the_slot_that_it_points_to() -> None:
    memory = torch.eye(4).unsqueeze(0) * torch.tensor([1.0, 5.0, 0.1, 2.0]).view(1, 4, 1)  # lengths do not matter
    for slot in range(4):
        found = by_content(torch.eye(4)[slot].view(1, 1, 4), torch.tensor([[100.0]]), memory)
        assert found[0, 0, slot].item() == pytest.approx(1)
    even = by_content(torch.zeros(1, 1, 4), torch.tensor([[100.0]]), torch.full((1, 4, 4), CONSTANT))
    assert even.tolist() == [[[0.25] * 4]]


def test_what_is_erased_and_written_is_there_alone() -> None:
    memory, w = torch.randn(2, 5, 3), torch.zeros(2, 1, 5)
    w[:, 0, 2] = 1
    added = torch.randn(2, 1, 3)
    after = written(memory, w, torch.ones(2, 1, 3), added)
    assert torch.equal(after[:, 2], added[:, 0])
    assert torch.equal(after[:, [0, 1, 3, 4]], memory[:, [0, 1, 3, 4]])


@pytest.mark.parametrize("writes", [1, 2])
@pytest.mark.parametrize("controller", ["feedforward", "lstm"])
def test_gradients_are_those_of_differences(writes: int, controller: str) -> None:
    made = machine(writes=writes, controller=controller, hidden=3, slots=4, width=2, reads=1)
    for parameter in made.parameters():
        parameter.data.div_(3)
    inputs = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 3])
    assert torch.autograd.gradcheck(lambda x: made(x, lengths), inputs)
    for name, parameter in made.named_parameters():
        made.zero_grad()
        made(inputs, lengths).square().sum().backward()
        assert parameter.grad is not None, name
        place = parameter.grad.abs().argmax().item()
        flat, found = parameter.data.view(-1), parameter.grad.view(-1)[place].item()
        with torch.no_grad():
            flat[place] += 1e-6
            more = made(inputs, lengths).square().sum()
            flat[place] -= 2e-6
            less = made(inputs, lengths).square().sum()
            flat[place] += 1e-6
        assert found == pytest.approx((more - less).item() / 2e-6, rel=1e-4), name


@pytest.mark.parametrize("memory", ["constant", "learned", "random"])
@pytest.mark.parametrize("weighting", ["first", "learned", "uniform"])
def test_starts(memory: str, weighting: str) -> None:
    made = machine(memory=memory, weighting=weighting)
    memory_BND, w_BPN = made._start(torch.zeros(3, 1, 3, dtype=torch.float64))
    assert memory_BND.shape == (3, 6, 4)
    assert w_BPN.shape == (3, 4, 6)
    torch.testing.assert_close(w_BPN.sum(2), torch.ones(3, 4, dtype=torch.float64))
    assert (memory_BND == CONSTANT).all().item() == (memory == "constant")
    assert torch.equal(memory_BND[0], memory_BND[1]) == (memory != "random")
    assert (w_BPN[..., 0] == 1).all().item() == (weighting == "first")


@pytest.mark.parametrize(("head", "name"), [(1, "read head 2"), (2, "write head 1")])
def test_a_weighting_that_is_not_finite_is_named(head: int, name: str) -> None:
    made = machine(read="before")
    made.to_heads.bias.data[made.sizes[0] + head] = torch.nan  # its β
    with pytest.raises(UserError, match=f"the weighting of {name} is nan at step 1 of"):
        made(torch.randn(2, 4, 3, dtype=torch.float64), torch.tensor([4, 4]))


def test_what_is_emitted_stays_within_the_clamp() -> None:
    made = machine(clamp=0.5)
    for parameter in made.parameters():
        parameter.data.mul_(100)
    address, _, added = made._emitted(made.to_heads(torch.randn(3, 7, dtype=torch.float64)))
    assert max(address.k.abs().max(), added.abs().max()).item() == 0.5
    assert (address.gamma > 1).all()
    assert (address.beta > 0).all()


@pytest.mark.parametrize("controller", ["feedforward", "lstm"])
def test_under_autocast_heads_stay_in_float32(controller: str) -> None:
    torch.manual_seed(3)
    made, x = NeuralTuringMachine(**{**SIZES, "controller": controller}), torch.randn(3, 5, 3)
    exact = made(x, torch.full((3,), 5))
    with torch.autocast("cpu", torch.bfloat16):
        logits, trace = made.run(x)
    assert trace.reads.dtype == torch.float32
    torch.testing.assert_close(logits.float(), exact, rtol=0.05, atol=0.05)
    logits.float().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in made.parameters())


def test_a_random_memory_is_drawn_for_training_alone() -> None:
    made, x = machine(memory="random"), torch.randn(2, 4, 3, dtype=torch.float64)
    assert not torch.equal(made(x, torch.tensor([4, 4])), made(x, torch.tensor([4, 4])))
    made.eval()
    torch.testing.assert_close(made(x, torch.tensor([4, 4]))[1:], made(x[1:], torch.tensor([4])))
