"""Multiplicative recurrent layers: the input chooses the recurrent matrix, through a product of factors.

A quadratic layer that reads the input x and the state h has one recurrent matrix for every x. In its low-rank form,
A(Bx * Ch) (`seqtrain.layers.quadratic.LowRankQuadratic`), that matrix is A diag(Bx) C.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqtrain.layers.lstm import lstm_step
from seqtrain.layers.stepped import OverTime, SteppedLayer


class MultiplicativeLayer(SteppedLayer):
    """What the two layers share: factors of x and h, a recurrent product of what they make, and input products.

    Args:
        inputs: width I of the input.
        hidden: width H of h.
        state_size: width S of the state.
        gates: number of sums of width H that one step takes.
        factors: width F of the factors; `None` for H.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(
        self,
        *,
        inputs: int,
        hidden: int,
        state_size: int,
        gates: int,
        factors: int | None,
        recurrent_dropout: float,
    ) -> None:
        factors = hidden if factors is None else factors
        super().__init__(
            hidden=hidden,
            state_size=state_size,
            read_size=gates * hidden + factors,
            recurrent_dropout=recurrent_dropout,
        )
        self.factors = factors
        bound = hidden**-0.5
        self.weight_ih = nn.Parameter(torch.empty(gates * hidden, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(gates * hidden).uniform_(-bound, bound))
        self.factor_ih = nn.Parameter(torch.empty(self.factors, inputs))
        self.expect(inputs**-0.5)
        self.factor_hh = nn.Parameter(torch.empty(self.factors, hidden).uniform_(-bound, bound))
        bound = self.factors**-0.5
        self.weight_hf = nn.Parameter(torch.empty(gates * hidden, self.factors).uniform_(-bound, bound))

    def expect(self, size: float) -> None:
        """Draws the factors of x so that they begin with variance 1, and leave what they multiply on average as large
        as it is: larger ones would blow up the state, smaller ones cut the layer off from its own past.
        """
        bound = (3 / self.factor_ih.shape[1]) ** 0.5 / size
        nn.init.uniform_(self.factor_ih, -bound, bound)

    def read(self, x_TBI: Tensor) -> Tensor:
        """[W_x x + b; the factors of x] for all steps."""
        weight = torch.cat([self.weight_ih, self.factor_ih])
        return nn.functional.linear(x_TBI, weight, nn.functional.pad(self.bias, (0, self.factors)))

    def begin(self, dtype: torch.dtype) -> tuple[OverTime, OverTime]:
        """The products of h with its factors, and of what factors make with the gates' weights."""
        return OverTime(self.factor_hh, dtype), OverTime(self.weight_hf, dtype)

    def sums(self, x_BG: Tensor, h_BH: Tensor, products: tuple[OverTime, OverTime], kept_BH: Tensor | None) -> Tensor:
        """The gates' sums W_x x + W_f ((V x) * (U h)) + b, in the precision of h."""
        x_gates, x_factors = x_BG.split([x_BG.shape[1] - self.factors, self.factors], dim=1)
        factors_h, gates = products
        f = x_factors * factors_h(h_BH if kept_BH is None else h_BH * kept_BH)
        return gates(f, x_gates).to(h_BH.dtype)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrix of h's factors, where it is square."""
        if self.factors == self.hidden:
            yield "factors", self.factor_hh.detach()


class MRNNLayer(MultiplicativeLayer):
    """One layer of a multiplicative recurrent network in one direction (Sutskever et al. 2011, section 4):

        f_t = (W_fx x_t) * (W_fh h_{t-1})
        h_t = tanh(W_hf f_t + W_hx x_t + b)

    so that the recurrent matrix is W_hf diag(W_fx x_t) W_fh, another for every input.

    Args:
        inputs: width I of the input.
        hidden: width H of the state.
        factors: width F of f, the rank of the recurrent matrices; `None` for H.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(self, *, inputs: int, hidden: int, factors: int | None = None, recurrent_dropout: float = 0.0) -> None:
        super().__init__(
            inputs=inputs,
            hidden=hidden,
            state_size=hidden,
            gates=1,
            factors=factors,
            recurrent_dropout=recurrent_dropout,
        )

    def step(
        self, x_BG: Tensor, state_BS: Tensor, products: tuple[OverTime, OverTime], kept_BH: Tensor | None
    ) -> Tensor:
        """See `SteppedLayer`."""
        return torch.tanh(self.sums(x_BG, state_BS, products, kept_BH))

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices W_fh and W_hf, where they are square."""
        yield from super().recurrent_blocks()
        if self.factors == self.hidden:
            yield "h", self.weight_hf.detach()


class MLSTMLayer(MultiplicativeLayer):
    """One layer of multiplicative long short-term memory in one direction (Krause et al. 2016, arXiv:1609.07959).

    In the equations of `LSTMLayer`, every gate reads, in the place of h_{t-1},

        m_t = (W_mx x_t) * (W_mh h_{t-1})

    The paper's last version has h_t = o_t * tanh(c_t), as here; an earlier one has tanh(o_t * c_t).

    Args:
        inputs: width I of the input.
        hidden: width H of h and of c; a state is [h; c].
        factors: width F of m; `None` for H, as in the paper.
        recurrent_dropout: see `SteppedLayer`.
    """

    def __init__(self, *, inputs: int, hidden: int, factors: int | None = None, recurrent_dropout: float = 0.0) -> None:
        super().__init__(
            inputs=inputs,
            hidden=hidden,
            state_size=2 * hidden,
            gates=4,
            factors=factors,
            recurrent_dropout=recurrent_dropout,
        )

    def step(
        self, x_BG: Tensor, state_BS: Tensor, products: tuple[OverTime, OverTime], kept_BH: Tensor | None
    ) -> Tensor:
        """See `SteppedLayer`."""
        h, c = state_BS.chunk(2, dim=1)
        return torch.cat(lstm_step(self.sums(x_BG, h, products, kept_BH).chunk(4, dim=1), c), dim=1)

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """The matrices W_mh and, of the four gates, W_m, where they are square."""
        yield from super().recurrent_blocks()
        if self.factors == self.hidden:
            yield from zip(("i", "f", "g", "o"), self.weight_hf.detach().chunk(4), strict=True)

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """The bias b_f."""
        yield "f", self.bias.detach().chunk(4)[1]
