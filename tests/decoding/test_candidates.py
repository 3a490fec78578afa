"""The largest of many values against a sort of all of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.decoding.candidates import BLOCK, best, ending, largest


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 4),
    beam=st.integers(1, 6),
    vocabulary=st.integers(2, 12 * BLOCK),
    forbidden=st.integers(0, 5),
    peaks=st.booleans(),
)
def test_the_same_as_sorting_everything(
    seed: int, rows: int, beam: int, vocabulary: int, forbidden: int, peaks: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, beam, vocabulary, generator=generator)
    if peaks:  # all the best beside each other, and behind the last whole block
        x[..., -min(vocabulary, 7) :] += 20
    x[..., torch.randint(vocabulary, (forbidden,), generator=generator)] = -torch.inf
    offset = torch.randn(rows, beam, generator=generator)
    offset[:, 1:][torch.rand(rows, beam - 1, generator=generator) < 0.3] = -torch.inf
    count = min(2 * beam, beam * vocabulary)
    total = (offset.unsqueeze(-1) + x).flatten(1)
    values, places = largest(x, offset, count)
    torch.testing.assert_close(values, total.sort(dim=1, descending=True).values[:, :count], rtol=0, atol=0)
    assert torch.equal(total.gather(1, places), values)
    for value, place in zip(values, places, strict=True):
        finite = place[value > -torch.inf].tolist()
        assert len(set(finite)) == len(finite)


def test_candidates_name_the_hypothesis_and_the_token() -> None:
    log_p = torch.full((4, 200), -50.0)
    log_p[0, 7], log_p[1, 199], log_p[2, 3], log_p[3, 64] = -3.0, -1.0, -2.0, -4.0
    found = best(log_p, torch.tensor([[0.0, -1.0], [-1.0, -1.5]]), beam=2)
    assert found.scores[:, :2].tolist() == [[-2.0, -3.0], [-3.0, -5.5]]
    assert found.parents[:, :2].tolist() == [[1, 0], [0, 1]]
    assert found.tokens[:, :2].tolist() == [[199, 7], [3, 64]]
    assert found.scores.shape == (2, 4)
    ends = ending(log_p, torch.tensor([[0.0, -1.0], [-1.0, -1.5]]), 199)
    assert ends.scores.tolist() == [[-2.0, -50.0], [-51.0, -51.5]]
    assert ends.parents.tolist() == [[1, 0], [0, 1]]
    assert set(ends.tokens.flatten().tolist()) == {199}


@pytest.mark.parametrize("vocabulary", [5, 1000])
def test_what_is_no_number_stays_in_its_row(vocabulary: int) -> None:
    x = torch.randn(2, 1, vocabulary, generator=torch.Generator().manual_seed(0))
    expected = largest(x, torch.zeros(2, 1), 2)[0][1]
    x[0] = torch.nan
    values, _ = largest(x, torch.zeros(2, 1), 2)
    assert values[0].isnan().all()
    assert torch.equal(values[1], expected)
