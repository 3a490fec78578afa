"""The recurrent entity network against NumPy, written from the paper's equations, and its backward pass."""

import numpy as np
import pytest
import torch

from seqtrain.layers.entnet import EntityMemory, EntNet
from tests.layers.by_hand import scattered, sigmoid

STORY = [[[2, 3], [4, 5, 2], [6]], [[3, 3, 6]], []]
QUESTION = [[7, 2], [7], [4, 5, 3]]


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def answered(net: EntNet, story: list[list[int]], question: list[int]) -> np.ndarray:
    """Equations 1 to 6 for one question."""
    w = {name: p.detach().numpy() for name, p in net.named_parameters()}
    keys, U, V, W = (w[f"memory.{name}"] for name in ("keys_JE", "U_EE", "V_EE", "W_EE"))
    last = len(w["sentence.mask"]) - 1

    def encoded(masks: str, words: list[int]) -> np.ndarray:
        return sum(w[masks][min(i, last)] * w["embedding.weight"][word] for i, word in enumerate(words))

    h = keys.copy()
    for words in story:
        s = encoded("sentence.mask", words)
        for j, key in enumerate(keys):
            g = sigmoid(s @ h[j] + s @ key)
            h[j] = h[j] + g * prelu(U @ h[j] + V @ key + W @ s, w["memory.slope_E"])
            h[j] /= np.linalg.norm(h[j])
    q = encoded("question.mask", question)
    p = np.exp(h @ q) / np.exp(h @ q).sum()
    return w["R_AE"] @ prelu(q + w["H_EE"] @ (p @ h), w["slope_E"])


def padded(sentences: list[list[int]], shape: tuple[int, ...]) -> torch.Tensor:
    made = torch.zeros(*shape, dtype=torch.long)
    for row, words in enumerate(sentences):
        made[row, : len(words)] = torch.tensor(words, dtype=torch.long)
    return made


def network(places: int = 4) -> EntNet:
    torch.manual_seed(0)
    net = EntNet(vocabulary=8, answers=3, width=5, slots=4, places=places).double()
    scattered(net)
    net.embedding.weight.data[0] = 0.0
    return net


@pytest.mark.parametrize("places", [2, 4])
@torch.no_grad()
def test_logits_are_those_of_the_equations_whatever_the_padding(places: int) -> None:
    net = network(places)
    for M, W in ((3, 3), (5, 6)):
        story = torch.stack([padded(story, (M, W)) for story in STORY])
        logits = net(story, padded(QUESTION, (3, W)))
        for row, (told, asked) in enumerate(zip(STORY, QUESTION, strict=True)):
            np.testing.assert_allclose(logits[row], answered(net, told, asked), rtol=1e-10)


@torch.no_grad()
def test_a_story_does_not_depend_on_its_batch() -> None:
    net = network()
    together = net(torch.stack([padded(story, (3, 3)) for story in STORY]), padded(QUESTION, (3, 3)))
    for row, (told, asked) in enumerate(zip(STORY, QUESTION, strict=True)):
        alone = net(padded(told, (len(told), 3)).unsqueeze(0), torch.tensor([asked]))
        torch.testing.assert_close(alone[0], together[row])


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(1)
    memory = EntityMemory(slots=2, width=3).double()
    scattered(memory)
    s_BME = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(memory.parameters())

    def read(s_BME: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = memory(s_BME, torch.tensor([1, 3, 0, 2]))
        return result

    assert torch.autograd.gradcheck(read, (s_BME, *parameters))
    with torch.no_grad():  # nothing is kept for a backward pass
        alone = read(s_BME)
    assert torch.equal(alone, read(s_BME))


def test_gradients_are_those_of_autograd() -> None:
    torch.manual_seed(2)
    memory = EntityMemory(slots=3, width=4)
    scattered(memory)
    s_BME, d_BJE = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 3, 4)
    inputs = (s_BME, *memory.parameters())
    h_BJE = memory.keys_JE.expand(2, -1, -1)
    for t in range(5):
        s_BE1 = s_BME[:, t].unsqueeze(2)
        a_BJE = h_BJE @ memory.U_EE.t() + memory.keys_JE @ memory.V_EE.t() + (memory.W_EE @ s_BE1).mT
        candidate_BJE = torch.nn.functional.prelu(a_BJE.flatten(0, 1), memory.slope_E).view_as(a_BJE)
        h_BJE = h_BJE + torch.sigmoid((h_BJE + memory.keys_JE) @ s_BE1) * candidate_BJE
        h_BJE = h_BJE / h_BJE.norm(dim=2, keepdim=True)
    found = memory(s_BME, torch.tensor([5, 5]))
    torch.testing.assert_close(found, h_BJE)
    for own, other in zip(*(torch.autograd.grad(h, inputs, d_BJE) for h in (found, h_BJE)), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_memories_stay_of_norm_1_and_padding_learns_nothing() -> None:
    net = network()
    memory = net.memory(torch.randn(2, 40, 5, dtype=torch.float64) * 3, torch.tensor([40, 7]))
    torch.testing.assert_close(memory.norm(dim=2), torch.ones(2, 4, dtype=torch.float64))
    net(torch.stack([padded(story, (3, 3)) for story in STORY]), padded(QUESTION, (3, 3))).sum().backward()
    gradient = net.embedding.weight.grad
    assert gradient is not None
    assert gradient[0].eq(0).all()
