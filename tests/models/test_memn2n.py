"""MemN2N against the paper's equations in NumPy, sentence by sentence; its restarts, its linear start, its noise."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from seqtrain.callbacks.clipping import GradientClipping
from seqtrain.callbacks.randomness import Randomness
from seqtrain.errors import UserError
from seqtrain.models.memn2n import MemN2N
from seqtrain.optim import StepDecay
from tests.layers.test_word_bags import vector
from tests.models.examples import ALL, QUESTIONS, overfit, questions
from tests.tiny import Stream, trainer

WIDE = {"embedding": 5, "noise": 0.0}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"encoding": "bag", "hops": 1, "temporal": False},
    {"encoding": "position_code", "tying": "layerwise", "hops": 2},
    {"mask": False},
    {"relu": True, "tying": "layerwise"},
    {"linear_epochs": 1},
    {"linear_epochs": 1, "mask": False, "encoding": "bag"},
]


def model(**options: Any) -> MemN2N:
    torch.manual_seed(0)
    made = MemN2N(task=QUESTIONS, **{**WIDE, **options})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8)  # so that a softmax is far from even
    return made


def by_hand(made: MemN2N, replica: int, story: list[list[int]], question: list[int]) -> tuple[Any, list[Any]]:
    """Logits, and the weights of every hop."""
    network, options = made.network, made.network.bag.encoding
    weights = {name: parameter.detach().double().numpy() for name, parameter in network.named_parameters()}
    V, tables = QUESTIONS.vocabulary, weights["tables"][:, replica]
    softmax = not network.linear
    u = vector(options, tables[0][:V] if network.adjacent else weights["question"][replica], question)
    attended = []
    for hop in range(network.hops):
        A, C = (tables[hop], tables[hop + 1]) if network.adjacent else tables
        m, c = ([vector(options, table, sentence) for sentence in story] for table in (A, C))
        if network.temporal:
            for i in range(len(story)):
                recent = V + len(story) - 1 - i  # the last sentence has the first vector of times
                m[i], c[i] = m[i] + A[recent], c[i] + C[recent]
        scores = np.array([m_i @ u for m_i in m])
        if softmax:
            empty = 0 if network.mask else QUESTIONS.sentences - len(story)
            p = np.exp(scores) / (np.exp(scores).sum() + empty)
        else:
            p = scores
        attended.append(np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum())
        o = sum(p_i * c_i for p_i, c_i in zip(p, c, strict=True))
        u = (u if network.adjacent else weights["H"][replica] @ u) + o
        u = np.maximum(u, 0) if network.relu else u
    W = tables[-1][list(QUESTIONS.answer_words)] if network.adjacent else weights["answers"][replica]
    return W @ u, attended


def unpadded(ids: torch.Tensor) -> list[int]:
    return [i for i in ids.tolist() if i]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_logits_and_attention_are_the_papers(options: dict[str, Any]) -> None:
    made, batch = model(restarts=2, **options).eval(), questions()
    for replica in range(2):
        made.network.errors = torch.tensor([float(replica == 1), float(replica == 0)])
        assert made.network.best == replica
        logits, hops = made.network.read(batch.story, batch.question)
        for row in range(len(batch)):
            story = [words for words in map(unpadded, batch.story[row]) if words]
            expected, attended = by_hand(made, replica, story, unpadded(batch.question[row]))
            np.testing.assert_allclose(logits[row].detach(), expected, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(hops[row, :, : len(story)], attended, atol=1e-4)
            assert not hops[row, :, len(story) :].any()


def test_questions_are_alone_and_padding_changes_nothing() -> None:
    made = model(mask=False).eval()
    together = made.measure(questions())
    for key, value in together.sums.items():
        alone = [made.measure(questions([row])).sums for row in ALL]
        torch.testing.assert_close(sum(single.get(key, torch.tensor(0)) for single in alone), value)


@pytest.mark.parametrize("options", [{"noise": 0.3}, {"tying": "layerwise", "restarts": 2, "relu": True}], ids=str)
def test_overfits_a_batch(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    made, batch = MemN2N(task=QUESTIONS, embedding=12, **options), questions()
    assert made.measure(batch).loss.item() > 0.9
    assert overfit(made, batch, steps=80) < 0.05
    made.network.end_epoch()
    assert made.eval().measure(batch).sums["correct"] == len(batch)
    for name, parameter in made.network.named_parameters():
        if name in ("tables", "question"):
            assert not parameter[..., 0, :].any()  # the null row


def test_times_with_noise_are_the_recent_first_with_gaps() -> None:
    torch.manual_seed(0)
    task = type(QUESTIONS)(vocabulary=4, answers=("a",), answer_words=(2,), sentences=30)
    network = MemN2N(task=task, noise=0.1, restarts=2).network
    story = torch.zeros(400, 20, 1, dtype=torch.long)
    story[:200, :] = 1
    story[200:, :5] = 1
    seen = []
    for _ in range(20):
        network.batches += 1
        times = network.noisy(story)
        assert torch.equal(times, network.noisy(story))  # the same batch again, the same noise
        seen.append(times)
    drawn = torch.stack(seen)
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[:, 0], drawn[:, 1])  # each replica its own
    for rows, n, most in ((slice(None, 200), 20, 2), (slice(200, None), 5, 1)):
        times = drawn[..., rows, :n].flatten(0, 2)
        assert (times.diff(dim=1) < 0).all()
        empty = times[:, 0] - (n - 1)  # put in before the oldest sentence; not those behind it
        assert int(empty.min()) >= 0
        assert int(empty.max()) == most
        # One of b + 1 numbers of empty memories, each way of placing b among n + b as likely: the share of stories
        # whose last sentence has moved by one or more is the mean over b of b / (n + b).
        expected = np.mean([b / (n + b) for b in range(most + 1)])
        assert float((times[:, -1] > 0).float().mean()) == pytest.approx(expected, rel=0.15)


def test_times_do_not_go_beyond_the_last() -> None:
    made = model(noise=1.0)
    made.network.batches += 1
    assert int(made.network.noisy(questions().story).max()) <= QUESTIONS.sentences - 1


class Batches(pl.LightningDataModule):
    """Four batches of two an epoch; an epoch can be gone on with in its middle."""

    batches = 4

    def loader(self, seed: int) -> Any:
        return [questions([0, 1]), questions([2, 3]), questions([1, 2]), questions([0, 3])]

    def train_dataloader(self) -> Any:
        return Stream(self)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        return DataLoader([0], collate_fn=lambda _: questions())  # type: ignore[arg-type]


class Watching(pl.Callback):
    """Keeps what was in force at each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.linear: list[bool] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])
        self.linear.append(module.network.linear)


def fit(made: MemN2N, folder: Path, *callbacks: pl.Callback, epochs: int = 5, ckpt: Path | None = None) -> Watching:
    made.optimize_with(lambda p: torch.optim.SGD(p, lr=0.1), StepDecay(after=2, every=2))
    seen = Watching()
    clipping = GradientClipping(norm=0.5, per_parameter=True)
    options: dict[str, Any] = {"max_epochs": epochs, "enable_checkpointing": bool(callbacks)}
    fitted = trainer(folder, Randomness(), clipping, seen, *callbacks, **options)
    fitted.fit(made, datamodule=Batches(), ckpt_path=ckpt)
    return seen


OPTIONS = {"linear_epochs": 2, "noise": 0.5, "restarts": 2}


def test_replicas_are_separate_trainings_and_one_that_is_resumed_is_the_same(tmp_path: Path) -> None:
    whole = model(**OPTIONS)
    starts = {name: value.clone() for name, value in whole.network.state_dict().items()}
    saver = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(whole, tmp_path, saver)
    assert whole.network.losses[0] != whole.network.losses[1]
    for replica in range(2):
        alone = model(**{**OPTIONS, "restarts": 1})
        only = slice(replica, replica + 1)
        alone.network.load_state_dict({"tables": starts["tables"][:, only], "streams": starts["streams"][only]}, False)
        fit(alone, tmp_path)
        torch.testing.assert_close(alone.network.tables[:, 0], whole.network.tables[:, replica])
        torch.testing.assert_close(alone.network.losses[0], whole.network.losses[replica])

    for step in (3, 8, 14):  # in the linear start, at its end, behind it
        torch.manual_seed(9)
        again = MemN2N(task=QUESTIONS, **{**WIDE, **OPTIONS})
        fit(again, tmp_path, ckpt=tmp_path / f"step={step}.ckpt")
        for name, value in whole.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), (step, name)


def test_the_schedule_begins_behind_the_linear_start(tmp_path: Path) -> None:
    seen = fit(model(linear_epochs=2), tmp_path, epochs=7)
    assert seen.linear == [True] * 8 + [False] * 20
    assert seen.rates == pytest.approx([0.1] * 16 + [0.05] * 8 + [0.025] * 4)
    assert fit(model(), tmp_path, epochs=3).rates == pytest.approx([0.1] * 8 + [0.05] * 4)


def test_the_linear_start_ends_when_the_loss_does_not_fall(tmp_path: Path) -> None:
    class Losses(MemN2N):
        given = iter([1.0, 3.0, 2.0, 2.5, 1.0, 1.0])  # the first of the sanity check, which does not count

        def _log_sums(self, stage: str) -> None:
            self.log("val/loss", torch.tensor(next(self.given)))

    torch.manual_seed(0)
    seen = fit(Losses(task=QUESTIONS, linear_epochs=None, **WIDE), tmp_path, epochs=5)
    assert seen.linear == [True] * 12 + [False] * 8


def test_the_replica_with_the_lowest_training_error_answers() -> None:
    made = model(restarts=3, linear_epochs=0)
    network, batch = made.network, questions()
    with torch.no_grad():
        network.tables[:, 0].zero_()
    for _ in range(2):
        made.train().measure(batch)
    network.end_epoch()
    logits = [network.run(batch.story, batch.question, slice(r, r + 1))[0][0] for r in range(3)]
    expected = [float((logits_BA.argmax(1) != batch.answers).float().mean()) for logits_BA in logits]
    assert network.errors.tolist() == pytest.approx(expected)
    assert expected[network.best] == min(expected)
    torch.testing.assert_close(network(batch.story, batch.question), logits[network.best])
    assert not network.counted.any()
    network.errors = torch.zeros(3)
    network.losses = torch.tensor([2.0, 3.0, 1.0])
    assert network.best == 2
    network.losses = torch.tensor([2.0, 3.0, torch.nan])
    assert network.best == 0
    network.errors = torch.tensor([0.5, 0.4, 0.0])
    assert network.best == 1


def test_what_ranks_count_is_added_up_and_saved_as_a_sum() -> None:
    whole, ranks = model(restarts=2), [model(restarts=2) for _ in range(2)]
    whole.train().measure(questions())
    for rank, rows in zip(ranks, ([0, 1], [2, 3]), strict=True):
        rank.train().measure(questions(rows))
    counted = ranks[0].network.counted + ranks[1].network.counted
    torch.testing.assert_close(counted, whole.network.counted, rtol=1e-6, atol=0)  # losses are of 32 bits
    # Buffers are made those of the first rank before each step: none may be counted in.
    assert [name for name, _ in ranks[0].named_buffers()] == ["network.streams", "network.answer_words"]
    for rank, is_first in zip(ranks, (True, False), strict=True):
        rank._trainer = SimpleNamespace(is_global_zero=is_first)  # type: ignore[assignment]
        rank.on_load_checkpoint({"memn2n": {"counted": whole.network.counted, "lowest": 1.0, "falls": True}})
    assert torch.equal(sum(rank.network.counted for rank in ranks), whole.network.counted)  # type: ignore[arg-type]


def test_a_replica_whose_gradients_are_not_finite_is_out_and_the_others_go_on(tmp_path: Path) -> None:
    class Bad(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, module: Any) -> None:
            with torch.no_grad():
                module.network.tables[:, 0] = 1e30

    torch.manual_seed(0)
    made, alone = MemN2N(task=QUESTIONS, restarts=2, **WIDE), MemN2N(task=QUESTIONS, **WIDE)
    start = made.network.state_dict()
    alone.network.load_state_dict({"tables": start["tables"][:, 1:].clone(), "streams": start["streams"][1:]}, False)
    fit(made, tmp_path, Bad(), epochs=2)
    fit(alone, tmp_path, epochs=2)
    torch.testing.assert_close(made.network.tables[:, 1], alone.network.tables[:, 0])
    assert not made.network.losses[0].isfinite()
    assert made.network.best == 1
    made.network.tables.grad = torch.ones_like(made.network.tables)
    made.network.tables.grad[1, 1, 2, 3] = torch.inf
    made.network.keep_apart()
    assert made.network.tables.grad.sum((0, 2, 3)).tolist() == [made.network.tables[:, 0].numel(), 0]
    assert made.network.counted[1].tolist() == [0, torch.inf]
    made.network.tables.grad = torch.full_like(made.network.tables, torch.nan)
    made.network.keep_apart()
    assert made.network.tables.grad.isnan().all()  # none is left that could go on: for clipping to see


@pytest.mark.parametrize(
    ("options", "clipping", "settings", "message"),
    [
        ({"restarts": 2}, GradientClipping(norm=1.0), {}, "callbacks.clipping.per_parameter=true"),
        ({"restarts": 2}, GradientClipping(norm=None, adaptive=0.1), {}, "callbacks.clipping.per_parameter=true"),
        ({"linear_epochs": 3}, GradientClipping(), {"max_epochs": 3}, "trainer.max_epochs=3"),
        ({"linear_epochs": None}, GradientClipping(), {"limit_val_batches": 0}, "there is no validation"),
    ],
)
def test_what_would_not_come_out_as_meant_is_refused(
    options: dict[str, Any], clipping: GradientClipping, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        trainer(tmp_path, clipping, **settings).fit(model(**options), datamodule=Batches())


def test_double_precision(tmp_path: Path) -> None:
    made = model(restarts=2, mask=False, noise=0.5)
    trainer(tmp_path, precision="64-true", max_epochs=1).fit(made, datamodule=Batches())
    assert made.network.tables.dtype == made.network(*(questions().story, questions().question)).dtype == torch.float64


def test_the_step_is_of_the_questions_whose_answers_are_known(tmp_path: Path) -> None:
    made = model(restarts=2)
    made._trainer = SimpleNamespace(world_size=1, accumulate_grad_batches=1)  # type: ignore[assignment]
    batch = questions()
    batch.answers[1:3] = -1
    measures = made.train().measure(batch)
    step = measures.loss * made._weight(measures.sums["count"])
    logits, _ = made.network.run(batch.story, batch.question, slice(None))
    losses = torch.nn.functional.cross_entropy(logits[:, [0, 3]].flatten(0, 1), batch.answers[[0, 3]].repeat(2))
    torch.testing.assert_close(step, losses * 4)  # of two replicas, two questions each


def test_clipping_is_by_matrix_of_a_replica(tmp_path: Path) -> None:
    made = model(restarts=2, hops=1)
    for parameter in made.parameters():
        parameter.grad = torch.randn_like(parameter) * torch.tensor([0.01, 1.0]).view(2, 1, 1)
    before = made.network.tables.grad
    assert before is not None
    expected = [[_clipped(before[t, r].clone(), 0.5) for r in range(2)] for t in range(2)]
    GradientClipping(norm=0.5, per_parameter=True)._clip([made.network.tables], [before], before.norm())
    for t in range(2):
        for r in range(2):
            torch.testing.assert_close(made.network.tables.grad[t, r], expected[t][r])


def _clipped(gradient: torch.Tensor, norm: float) -> torch.Tensor:
    parameter = torch.nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_([parameter], norm)
    assert parameter.grad is not None
    return parameter.grad


def test_the_linear_start_is_kept_with_the_weights() -> None:
    made, other = model(linear_epochs=1), model(linear_epochs=0)
    other.load_state_dict(made.state_dict())
    assert other.network.linear
    assert torch.equal(other.network.streams, made.network.streams)
