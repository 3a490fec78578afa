"""The addressable associative memory: a query is compared with keys, and their values come back.

    α_m = k_mᵀ x        c = softmax(α)        s = Σ_m c_m v_m

`M` are the slots of a memory; the rest is the legend of `seqtrain.tasks.base`.
"""

import torch
from torch import Tensor


def attend(
    x_BE: Tensor,
    keys_BME: Tensor,
    values_BME: Tensor,
    real_BM: Tensor | None = None,
    *,
    sharpness: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """What a memory holds under keys like `x`.

    Args:
        x_BE: queries.
        keys_BME: keys, as wide as the queries.
        values_BME: values, of any width.
        real_BM: which slots hold something; all without it.
        sharpness: β in c = softmax(βα). The larger it is, the more the nearest key alone counts.

    Returns:
        s, (B, E) like the values, and c, (B, M), float32 at least: 0 where nothing is, with a sum of 1 over the rest.
    """
    scores_BM = torch.matmul(keys_BME, x_BE.unsqueeze(2)).squeeze(2)
    weights_BM = weigh(sharpness * scores_BM, real_BM)
    return torch.matmul(weights_BM.to(values_BME.dtype).unsqueeze(1), values_BME).squeeze(1), weights_BM


def weigh(scores_XM: Tensor, real_XM: Tensor | None = None, *, linear: bool = False) -> Tensor:
    """(…, M) weights of slots, float32 at least, by their scores: the softmax, or the scores; 0 where nothing is.

    Args:
        scores_XM: α.
        real_XM: which slots hold something, of a shape that broadcasts; all without it. There may be none.
        linear: the scores are the weights, as in the linear start of Sukhbaatar et al. 2015 (arXiv:1503.08895).
    """
    scores_XM = scores_XM.to(torch.promote_types(scores_XM.dtype, torch.float32))
    if real_XM is None:
        return scores_XM if linear else torch.softmax(scores_XM, -1)
    if linear:
        return scores_XM.masked_fill(~real_XM, 0.0)
    # The lowest number and not -inf, of which a softmax of nothing but that would be NaN.
    weights_XM = torch.softmax(scores_XM.masked_fill(~real_XM, torch.finfo(scores_XM.dtype).min), -1)
    return weights_XM.masked_fill(~real_XM, 0.0)
