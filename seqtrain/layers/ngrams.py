"""Numbers for the n-grams of sentences by a hash: no list of them is kept, and one never seen before needs no care."""

import torch
from torch import Tensor

PRIME = 2**31 - 1
FACTOR = 1_000_003


def hashed(words_XW: Tensor, *, n: int, kind: int, buckets: int) -> Tensor:
    """(…, W − n + 1) numbers, from 1 on, of the n-grams of sentences (…, W); 0 where one would reach into padding (0).

        h_0 = k F,  h_i = (h_{i−1} F + w_i) mod P,  number = h_n mod buckets + 1

    with F = 1,000,003 and P = 2³¹ − 1. N-grams may share a number; few do where there are many more numbers.

    Args:
        words_XW: word ids, padded behind.
        n: words of an n-gram, W at most.
        kind: k, by which the same words have other numbers.
        buckets: how many numbers there are.
    """
    windows = words_XW.unfold(-1, n, 1)
    found = torch.full_like(windows[..., 0], kind * FACTOR)
    for i in range(n):
        found = (found * FACTOR + windows[..., i]) % PRIME
    return torch.where(windows[..., -1] != 0, found % buckets + 1, 0)
