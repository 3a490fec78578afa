"""The Transformer: learns, decodes what it learnt, and depends on nothing but its input."""

from typing import Any

import pytest
import torch

from seqtrain.config.check import check
from seqtrain.config.compose import compose_job
from seqtrain.config.together import check_together
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.models.transformer import TransformerModel
from seqtrain.tasks.translation import Translation
from tests.models.examples import (
    JOINT,
    PAIR,
    TARGETS,
    assert_pairs_are_alone,
    assert_translations_are_alone,
    overfit,
    tiny,
    translations,
)

KINDS = [(norm, positions) for norm in ("pre", "post") for positions in ("sinusoidal", "learned", "rotary")]
EVERY_KIND = pytest.mark.parametrize(("norm", "positions"), KINDS)


def small(task: Any, **given: Any) -> Any:
    return tiny("transformer", task, width=16, layers=2, feed_forward=24, **given)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_overfits_a_batch_and_writes_it(norm: str) -> None:
    model, batch = small(JOINT, norm=norm), translations()
    assert model.measure(batch).loss.item() > 1.5
    assert overfit(model, batch, steps=60, lr=0.02) < 0.05
    for decoding in (Decoding(), Decoding(beam=3)):
        assert [best[0].tokens for best in model.translate(batch, decoding)] == TARGETS


@EVERY_KIND
@torch.no_grad()
def test_teacher_forcing_equals_stepping(norm: str, positions: str) -> None:
    model, batch = small(PAIR, norm=norm, positions=positions).eval(), translations()
    decoder, tokens = model.network.decoder, batch.target[:, :-1]
    taught = decoder.output(model.network.teach(batch.source, batch.source_lengths, tokens))
    state = decoder.init_state(model.network.encode(batch.source, batch.source_lengths))
    order = torch.tensor([2, 0, 0, 3])
    for t in range(tokens.shape[1]):
        real = tokens[:, t] != 0
        reordered, _ = decoder.step(tokens[order, t], decoder.reorder_state(state, order))
        logits, state = decoder.step(tokens[:, t], state)
        torch.testing.assert_close(logits[real], taught[real, t])
        torch.testing.assert_close(reordered[real[order]], taught[order, t][real[order]])


@pytest.mark.parametrize("rows", [1, 4, 256])
def test_padding_that_fills_up_rows_changes_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small(PAIR, norm="post", positions="learned"), translations()
    model.measure(batch).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    monkeypatch.setattr("seqtrain.layers.transformer.ROWS", rows)
    model.measure(batch).loss.backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)
    test_teacher_forcing_equals_stepping("pre", "sinusoidal")
    test_a_sentence_does_not_depend_on_its_batch("post", "sinusoidal")


@EVERY_KIND
def test_a_sentence_does_not_depend_on_its_batch(norm: str, positions: str) -> None:
    model = small(PAIR, norm=norm, positions=positions).eval()
    for no_grad in (False, True):
        with torch.set_grad_enabled(not no_grad):
            assert_pairs_are_alone(model)
    assert_translations_are_alone(model)


def test_rows_of_a_beam_share_what_is_known_of_the_source() -> None:
    network, batch = small(PAIR).eval().network, translations()
    decoder = network.decoder
    with torch.no_grad():
        state = decoder.init_state(network.encode(batch.source, batch.source_lengths))
        tokens = torch.full((4,), 1)
        alone, state = decoder.step(tokens, state)
        ways = [
            torch.arange(4).repeat_interleave(3),
            torch.tensor([1, 1, 3, 3]),
            torch.tensor([1, 1, 1, 0, 2]),
            torch.tensor([3, 1, 3]),
            torch.tensor([2, 2]),
        ]
        after, _ = decoder.step(torch.full((4,), 5), state)
        for index in ways:
            beam = decoder.reorder_state(state, index)
            assert len(beam.real) <= max(4, len(index))
            logits, beam = decoder.step(torch.full((len(index),), 5), beam)
            torch.testing.assert_close(logits, after[index])
            for again in (index.new_tensor(range(len(index))), index.new_tensor(range(len(index))).flip(0)):
                torch.testing.assert_close(
                    decoder.step(torch.full((len(index),), 6), decoder.reorder_state(beam, again))[0],
                    decoder.step(torch.full((4,), 6), decoder.step(torch.full((4,), 5), state)[1])[0][index[again]],
                )
        repeated = decoder.reorder_state(state, ways[0])
    assert len(repeated.real) == 4
    assert repeated.source[0] is state.source[0]
    assert alone.shape == (4, 14)


def test_what_is_written_does_not_see_what_comes() -> None:
    network = small(PAIR).network
    source, lengths = torch.tensor([[4, 5, 2]]), torch.tensor([3])
    before, after = (network.teach(source, lengths, torch.tensor([[1, 4, *end]])) for end in ((2, 2), (3, 1)))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@EVERY_KIND
def test_gradients_reach_every_parameter(norm: str, positions: str) -> None:
    model = small(PAIR, norm=norm, positions=positions, tie_embeddings=False, max_positions=5)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.measure(translations()).loss
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.dtype == torch.float32, name
        # A key's bias adds the same to all scores of a query, which the softmax takes out again.
        assert bool(p.grad.ne(0).any()), name


def test_bfloat16_says_about_the_same() -> None:
    model = small(PAIR)
    exact = model.measure(translations()).loss
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.measure(translations()).loss
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0)


def test_attention_weights() -> None:
    model, batch = small(PAIR, heads=2).eval(), translations()
    seen = model.network.attention(batch.source, batch.source_lengths, batch.target[:, :-1])
    B, T, S = 4, batch.target.shape[1] - 1, batch.source.shape[1]
    assert seen.shape == (B, 2, 2, T, S)
    real = torch.arange(S) < batch.source_lengths.unsqueeze(1)
    torch.testing.assert_close(seen.sum(-1), torch.ones(B, 2, 2, T))
    assert bool((seen.masked_select(~real[:, None, None, None]) == 0).all())
    (alone,) = model.network.attention(batch.source[1:2, :2], batch.source_lengths[1:2], batch.target[1:2, :3])
    torch.testing.assert_close(seen[1, :, :, :3, :2], alone)


def test_embeddings_are_shared_as_asked() -> None:
    def tables(**options: Any) -> int:
        network = small(**options).network
        weights = (network.encoder.embedded.table.weight, network.decoder.embedded.table.weight)
        return len({id(weight) for weight in (*weights, network.decoder.output.weight)})

    assert tables(task=JOINT, tie_embeddings=True) == 1
    assert tables(task=PAIR, tie_embeddings=True) == 2
    assert tables(task=JOINT, tie_embeddings=False) == 3


def test_only_learned_positions_end() -> None:
    model = small(PAIR, positions="learned", max_positions=4)
    assert model.network.max_positions == 4
    with pytest.raises(UserError, match=r"5 tokens is longer than model\.max_positions=4"):
        model.measure(translations())
    for positions in ("sinusoidal", "rotary"):
        assert not hasattr(small(PAIR, positions=positions).network, "max_positions")


def test_sizes_that_do_not_fit_are_refused() -> None:
    for options, unit in (({"heads": 3}, 6), ({"heads": 4, "width": 18}, 4), ({"positions": "rotary"}, 8)):
        with pytest.raises(UserError, match=f"is not a multiple of {unit}"):
            tiny("transformer", PAIR, **{"width": 20, **options})


def test_transformer_tiny_is_the_paper_s() -> None:
    job = compose_job(["experiment=transformer_tiny"])
    check(job.cfg, job.choices)
    check_together(job.cfg)
    options = {key: value for key, value in job.cfg.model.items() if key != "_target_"}
    sizes = {"width": 128, "layers": 4, "heads": 4, "feed_forward": 256, "norm": "post", "positions": "sinusoidal"}
    assert options.items() >= {**sizes, "dropout": 0.3, "tie_embeddings": True, "label_smoothing": 0.1}.items()
    vocabulary = job.cfg.data.vocabulary
    task = Translation(source_vocabulary=vocabulary, target_vocabulary=vocabulary, shared=job.cfg.data.joint)
    parameters = sum(p.numel() for p in TransformerModel(task=task, **options).parameters())
    assert parameters == pytest.approx(2.6e6, rel=0.02)
    data = {"source": "en", "target": "de", "tokenizer": "bpe", "vocabulary": 10000, "joint": True, "lowercase": True}
    assert job.cfg.data.items() >= data.items()
    assert (job.choices["data"], job.choices["scheduler"]) == ("multi30k", "inverse_sqrt")
    assert (job.cfg.optimizer.lr, list(job.cfg.optimizer.betas), job.cfg.scheduler.warmup) == (5e-3, [0.9, 0.98], 2000)
    assert (job.cfg.trainer.max_steps, job.cfg.trainer.max_epochs) == (8000, -1)
    assert (job.cfg.callbacks.averaging.number, job.cfg.callbacks.early_stopping.patience) == (10, 10)
    assert job.cfg.callbacks.early_stopping.monitor == "val/nll"
    assert job.cfg.callbacks.clipping.norm is None


def test_dropout_is_drawn_from_torch_s_generator() -> None:
    model = small(PAIR, dropout=0.5)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(model.measure(translations()).loss.item())
    assert losses[0] == losses[1] != losses[2]
    assert model.eval().measure(translations()).loss.item() == model.measure(translations()).loss.item()
