"""Several networks as one: the mean of their probabilities, by teacher forcing, in steps, in search and in scores."""

import pytest
import torch

from seqtrain.decoding.ensemble import Ensemble
from seqtrain.decoding.scoring import log_probabilities
from seqtrain.decoding.settings import Decoding
from seqtrain.models.gru import GRU
from seqtrain.models.lstm import LSTM
from seqtrain.tasks.translation import BOS, EOS, PAD, Translation, TranslationBatch

TASK = Translation(source_vocabulary=11, target_vocabulary=90, shared=False)


@pytest.fixture(scope="module")
def models() -> list[GRU | LSTM]:
    torch.manual_seed(0)
    made: list[GRU | LSTM] = [GRU(task=TASK, embedding=6, hidden=7), LSTM(task=TASK, embedding=4, hidden=5)]
    for model in made:
        model.network.decoder.output.bias.data.normal_(std=2.0)  # type: ignore[union-attr,operator]
    for model in made:
        model.eval()
    return made


def batch() -> TranslationBatch:
    return TranslationBatch(
        index=torch.arange(3),
        source=torch.tensor([[5, 6, 7, EOS], [4, EOS, PAD, PAD], [8, 9, EOS, PAD]]),
        source_lengths=torch.tensor([4, 2, 3]),
        target=torch.tensor([[BOS, 30, 40, EOS], [BOS, EOS, PAD, PAD], [BOS, 80, EOS, PAD]]),
        target_lengths=torch.tensor([3, 1, 2]),
    )


def probabilities(model: GRU | LSTM) -> torch.Tensor:
    given = batch()
    network = model.network
    return network.decoder.output(network.teach(given.source, given.source_lengths, given.target[:, :-1])).softmax(-1)  # type: ignore[union-attr,operator]


@torch.no_grad()
def test_teacher_forcing_and_steps_give_the_mean(models: list[GRU | LSTM]) -> None:
    mean = torch.stack([probabilities(model) for model in models]).mean(0)
    ensemble, given = Ensemble([model.network for model in models]), batch()
    taught = ensemble.decoder.output(ensemble.teach(given.source, given.source_lengths, given.target[:, :-1]))
    torch.testing.assert_close(taught.exp(), mean)
    order = torch.tensor([2, 0, 1])
    decoder, state = ensemble.decoder, ensemble.encode(given.source, given.source_lengths)
    state = decoder.reorder_state(decoder.init_state(state), order)
    for step in range(3):
        log_p, state = decoder.step(given.target[order, step], state)
        torch.testing.assert_close(log_p.exp(), mean[order, step])


@torch.no_grad()
def test_it_measures_searches_and_scores(models: list[GRU | LSTM]) -> None:
    given = batch()
    right = torch.stack([probabilities(model) for model in models]).mean(0).log()
    right = right.gather(2, given.target[:, 1:].unsqueeze(-1)).squeeze(-1)
    wanted = torch.where(given.target[:, 1:] != PAD, right, 0.0).sum(1)
    torch.manual_seed(1)
    together = GRU(task=TASK, embedding=6, hidden=7).eval()
    together.network = Ensemble([model.network for model in models])
    torch.testing.assert_close(log_probabilities(together.network, given), wanted.double())
    measures = together.measure(given)
    assert float(measures.sums["nll"]) == pytest.approx(-float(wanted.sum()), rel=1e-5)
    found = together.translate(given, Decoding(beam=3, n_best=3, max_length=8))
    for hypothesis, number in [(h, i) for i, some in enumerate(found) for h in some]:
        one = given.source[number : number + 1, : given.source_lengths[number]]
        target = torch.tensor([[BOS, *hypothesis.tokens, EOS]])
        pair = TranslationBatch(torch.tensor([0]), one, given.source_lengths[number : number + 1], target, target[:, 0])
        score = log_probabilities(together.network, pair)
        assert float(score) == pytest.approx(hypothesis.log_probability, abs=1e-4)


def test_the_same_network_twice_is_that_network_and_the_fewest_positions_count(models: list[GRU | LSTM]) -> None:
    model, given = models[0], batch()
    alone = model.translate(given, Decoding(beam=2, max_length=8))
    assert not hasattr(Ensemble([model.network]), "max_positions")
    network, together = model.network, GRU(task=TASK, embedding=6, hidden=7)
    together.network = Ensemble([network, network])
    twice = together.eval().translate(given, Decoding(beam=2, max_length=8))
    assert [h[0].tokens for h in twice] == [h[0].tokens for h in alone]
    assert [h[0].score for h in twice] == pytest.approx([h[0].score for h in alone], abs=1e-5)
    with pytest.raises(NotImplementedError, match="not trained"):
        together.measure(given, smoothing=0.1)
