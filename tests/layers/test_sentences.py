"""What is known of the source follows the rows of a state, and is not copied where it need not be."""

from dataclasses import dataclass

import torch

from seqtrain.layers.sentences import OfSentences, numbered


@dataclass
class Known(OfSentences):
    keys: torch.Tensor


def test_only_rows_that_get_another_sentence_are_copied() -> None:
    keys = torch.arange(6).view(3, 2)
    known = Known(numbered(keys), keys)
    beam = known.rows(torch.tensor([0, 0, 1, 1, 2, 2]))
    assert torch.equal(beam.keys, keys[[0, 0, 1, 1, 2, 2]])
    assert beam.rows(torch.tensor([1, 0, 2, 2, 5, 4])) is beam
    for index in ([0, 2, 2, 2, 4, 4], [0, 1, 2, 3], [5, 4, 3, 2, 1, 0]):
        other = beam.rows(torch.tensor(index))
        assert torch.equal(other.keys, beam.keys[index])
        assert torch.equal(keys[other.sentence], other.keys)
    assert len(beam.rows(torch.tensor([], dtype=torch.long)).keys) == 0
