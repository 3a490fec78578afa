"""The key-value memory against NumPy, written from the equations of Miller et al. 2016, section 3.1."""

from typing import Any, Literal

import numpy as np
import pytest
import torch

from seqtrain.layers.key_value import KeyValueNetwork
from seqtrain.layers.memn2n import MemoryNetworks
from seqtrain.tasks.answering import Answering

TASK = Answering(vocabulary=9, answers=("garden", "kitchen", "office"), answer_words=(3, 6, 7), sentences=3)
STORY = [[1, 3, 4, 2, 8], [2, 5], [4]]
QUESTION = [8, 1, 4]
CHOICES: list[dict[str, Any]] = [
    {"memories": "sentence"},
    {"memories": "sentence", "temporal": True, "tie_answers": True},
    {"memories": "sentence", "encoding": "position"},
    {"memories": "window"},
    {"memories": "window", "window": 4, "temporal": True},
    {"memories": "window", "window": 1},
    {"memories": "triple"},
    {"memories": "triple", "temporal": True, "hops": 1},
]


def network(**given: Any) -> KeyValueNetwork:
    torch.manual_seed(0)
    options: dict[str, Any] = {"memories": "sentence", "hops": 3, "window": 3, "encoding": "bag", "temporal": False}
    options |= {"embedding": 5, "tie_answers": False, "deviation": 1.0, **given}
    made = KeyValueNetwork(task=TASK, **options)
    for mapping in made.maps:
        torch.nn.init.normal_(mapping)  # it starts as the identity
    return made


def padded(story: list[list[int]], sentences: int, words: int) -> torch.Tensor:
    rows = [row + [0] * (words - len(row)) for row in story]
    return torch.tensor([rows + [[0] * words] * (sentences - len(story))])


def bag(table: np.ndarray, words: list[int], encoding: str = "bag") -> np.ndarray:
    J, d = len(words), table.shape[1]
    total = np.zeros(d)
    for j, word in enumerate(words, start=1):
        for k in range(1, d + 1):
            weight = 1.0 if encoding == "bag" else (1 - j / J) - (k / d) * (1 - 2 * j / J)
            total[k - 1] += weight * table[word, k - 1]
    return total


def by_hand(net: KeyValueNetwork, encoding: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (A,) and the sentences' weights at every hop (K, M)."""
    weights = {name: value.numpy().astype(float) for name, value in net.state_dict().items()}
    A = weights["words.weight"]
    keys, values, owners = [], [], []
    for place, words in enumerate(STORY):
        found = []
        if net.memories == "sentence":
            found = [(bag(A, words, encoding), bag(A, words, encoding))]
        elif net.memories == "triple":
            found = [(bag(A, words[:-1], encoding), A[words[-1]])]
        else:
            for c, centre in enumerate(words):
                around = words[max(0, c - (net.window - 1) // 2) : c] + words[c + 1 : c + net.window // 2 + 1]
                found.append((bag(A, around) + weights["centres.weight"][centre], A[centre]))
        for key, value in found:
            if "key_times.weight" in weights:
                age = len(STORY) - place
                key, value = key + weights["key_times.weight"][age], value + weights["value_times.weight"][age]
            keys.append(key)
            values.append(value)
            owners.append(place)
    q = bag(A, QUESTION, encoding)
    hops = []
    for hop in range(len(net.maps)):
        e = np.exp(np.array([q @ key for key in keys]))
        p = e / e.sum()
        q = weights[f"maps.{hop}"] @ (q + sum(share * value for share, value in zip(p, values, strict=True)))
        hops.append([sum(share for share, owner in zip(p, owners, strict=True) if owner == m) for m in range(3)])
    return weights.get("answers.weight", A)[list(TASK.answer_words)] @ q, np.array(hops)


@torch.no_grad()
@pytest.mark.parametrize("options", CHOICES)
def test_logits_and_weights_are_those_of_the_equations(options: dict[str, Any]) -> None:
    net = network(**options)
    logits, hops = net.read(padded(STORY, 3, 5), torch.tensor([QUESTION]))
    expected = by_hand(net, options.get("encoding", "bag"))
    np.testing.assert_allclose(logits[0].numpy(), expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(hops[0].numpy(), expected[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net(padded(STORY, 3, 5), torch.tensor([QUESTION])), logits)


@torch.no_grad()
@pytest.mark.parametrize("options", CHOICES)
def test_neither_padding_nor_other_questions_change_anything(options: dict[str, Any]) -> None:
    net = network(**options)
    alone, weights = net.read(padded(STORY, 3, 5), torch.tensor([QUESTION]))
    stories = torch.cat([padded([[7, 7, 7]], 5, 8), padded(STORY, 5, 8), padded([], 5, 8)])
    asked = torch.tensor([[1, 0, 0, 0], [*QUESTION, 0], [2, 3, 4, 5]])
    logits, hops = net.read(stories, asked)
    torch.testing.assert_close(logits[1:2], alone, rtol=1e-5, atol=1e-5)  # sums of other shapes have another order
    torch.testing.assert_close(hops[1:2, :, :3], weights, rtol=1e-5, atol=1e-5)
    assert not hops[1, :, 3:].any()
    torch.testing.assert_close(hops.sum(2), torch.tensor([1.0, 1.0, 0.0]).unsqueeze(1).expand(3, hops.shape[1]))
    assert logits.isfinite().all()  # of no story, too


@pytest.mark.parametrize("options", CHOICES)
def test_padding_is_zero_and_learns_nothing(options: dict[str, Any]) -> None:
    net = network(**options)
    stories = torch.cat([padded(STORY, 4, 7), padded([[5, 6]], 4, 7)])
    net(stories, torch.tensor([[*QUESTION, 0], [3, 0, 0, 0]])).square().sum().backward()
    for name, table in net.named_parameters():
        assert table.grad is not None
        assert table.grad.abs().sum() > 0, name
        if not name.startswith("maps."):
            assert not table[0].any()
            assert not table.grad[0].any(), name


@torch.no_grad()
@pytest.mark.parametrize("encoding", ["bag", "position"])
@pytest.mark.parametrize("temporal", [True, False])
def test_sentences_are_an_end_to_end_memory_network(encoding: Literal["bag", "position"], temporal: bool) -> None:
    """With equal tables, and keys that are values, the networks are the same."""
    net = network(encoding=encoding, temporal=temporal, tie_answers=True)
    words = net.words.weight
    for mapping in net.maps:
        torch.nn.init.eye_(mapping)
    times = [net.key_times.weight[1:]] if net.key_times is not None else []
    if net.value_times is not None and net.key_times is not None:
        net.value_times.weight.copy_(net.key_times.weight)
    same = MemoryNetworks(
        vocabulary=TASK.vocabulary,
        sentences=TASK.sentences,
        answer_words=TASK.answer_words,
        embedding=5,
        hops=3,
        tying="adjacent",
        encoding=encoding,
        temporal=temporal,
        noise=0.0,
        relu=False,
        mask=True,
        replicas=1,
    )
    tables = same.get_parameter("tables")
    tables.copy_(torch.cat([words, *times]).expand_as(tables))
    stories = torch.cat([padded(STORY, 3, 5), padded([[6, 7, 1]], 3, 5)])
    asked = torch.tensor([QUESTION, [2, 5, 0]])
    for found, expected in zip(net.read(stories, asked), same.read(stories, asked), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_read_under_a_key_is_its_value() -> None:
    """Of two facts of the same three words, only keys say which one answers."""
    net = network(memories="triple", hops=1)
    facts, asked = torch.tensor([[[1, 2, 3], [3, 2, 1], [0, 0, 0]]]), torch.tensor([[1, 2]])
    keys, values, real = net.memory(facts)
    table = net.words.weight
    torch.testing.assert_close(keys[0, :2, 0], torch.stack([table[1] + table[2], table[3] + table[2]]))
    torch.testing.assert_close(values[0, :2, 0], table[[3, 1]])
    assert real[0, :, 0].tolist() == [True, True, False]
    _, hops = net.read(facts, asked)
    assert hops[0, 0, 0] != hops[0, 0, 1]
    _, alike = network(memories="sentence", hops=1).read(facts, asked)
    torch.testing.assert_close(alike[0, 0, 0], alike[0, 0, 1])
