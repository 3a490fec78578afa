"""Recurrent translation with attention (Bahdanau et al. 2014, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.encoder_decoder import EncoderDecoder, Maxout, Memory, Reader, Writer
from seqtrain.layers.output import state_dtype, working_dtype
from seqtrain.layers.recurrent import Recurrent, Steps
from seqtrain.layers.source_attention import Attending, Source, SourceAttention
from seqtrain.layers.stepped import OverTime, SteppedLayer


@dataclass
class AttentiveState:
    """What a decoder with attention remembers between steps.

    Attributes:
        hidden: (L, B, ·) states of the recurrent layers.
        source: what is attended to.
        fed: (B, F) what the next step reads beside its token; `None` where that is nothing, or made in that step.
    """

    hidden: Tensor
    source: Source
    fed: Tensor | None


class AttendedEncoder(Reader):
    """Reads a sentence into one state a token, both directions' side by side."""

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> Memory:
        """Encodes (B, S) ids of (B,) lengths; the summary is h of the top layer's backward direction at the first word,
        or, with one direction, that at the last.
        """
        states_BSD, last_LBS = self.read(source_BS, lengths_B)
        return Memory(states_BSD, lengths_B, last_LBS[-1][:, : self.recurrent.hidden])


class AttentiveDecoder(Writer):
    """Writes a sentence, and attends at every step to the source states with a query of its own.

    With `query="previous"`, the state before the step asks, and the context enters the cell (Bahdanau 2014, appendix
    A.2.2):

        c_t = attend(s_{t-1})
        s_t = cell(W e(y_{t-1}) + C c_t, s_{t-1})
        o_t = maxout_2(U_o s_t + V_o e(y_{t-1}) + C_o c_t)

    The paper's equation 4 has p(y_t) depend on s_t; its appendix writes s_{t-1} in the last line, as with
    `readout="previous"`.

    With `query="current"`, the new state asks (Luong 2015, section 3), and all steps can do so at once:

        s_t = cell(W e(y_{t-1}), s_{t-1})           with input feeding, W e(y_{t-1}) + C o_{t-1}, o_0 = 0 (section 3.3)
        c_t = attend(s_t)
        o_t = tanh(W_c [c_t; s_t])

    In both, s_0 = tanh(W_s h), h being the encoder's summary, and p(y_t) = softmax(W_o o_t + b). Of several layers the
    top one asks, and what is fed enters the lowest.

    Args:
        embedding: of target tokens, E wide, as o_t is; see `Writer`.
        recurrent: the stack of layers; its inputs are E wide.
        attention: over the source.
        query: which state asks.
        readout: which state is read in the last line, with `query="previous"`.
        input_feeding: whether o_{t-1} is read beside y_{t-1}; with `query="current"`.
        dropout: on embeddings and on what the output layer reads.
    """

    def __init__(
        self,
        *,
        embedding: nn.Embedding,
        recurrent: Recurrent,
        attention: SourceAttention,
        query: str,
        readout: str,
        input_feeding: bool,
        dropout: Dropout,
    ) -> None:
        super().__init__(embedding=embedding, recurrent=recurrent, dropout=dropout)
        E = embedding.embedding_dim
        H, D = recurrent.hidden, attention.states
        self.attention, self.query_before = attention, query == "previous"
        self.readout_before = readout == "previous"
        self.to_state = nn.Linear(H, self.layers * recurrent.state_size)
        self.from_fed: Any = None
        if self.query_before or input_feeding:
            fed = D if self.query_before else E
            self.from_fed = nn.Linear(fed, self._cells()[0].read_size, bias=False)
        self.to_readout: nn.Linear = Maxout(H + E + D, E) if self.query_before else nn.Linear(D + H, E, bias=False)
        self.output = self._output(E)

    def init_state(self, memory: Memory) -> AttentiveState:
        """The state before the first step."""
        B = len(memory.summary)
        hidden = torch.tanh(self.to_state(memory.summary)).view(B, self.layers, -1).transpose(0, 1)
        hidden = hidden.to(state_dtype(hidden))
        fed = None
        if self.from_fed is not None and not self.query_before:
            fed = hidden.new_zeros(B, self.from_fed.in_features)
        return AttentiveState(hidden, self.attention.prepare(memory.states, memory.lengths), fed)

    def forward(self, tokens_BT: Tensor, state: AttentiveState) -> tuple[Tensor, AttentiveState]:
        """Inputs of the output layer, (B, T, E), after each of (B, T) known tokens, and the state behind them."""
        o_BTE, _, state = self.read(tokens_BT, state)
        return self.dropout(o_BTE), state

    def read(self, tokens_BT: Tensor, state: AttentiveState) -> tuple[Tensor, Tensor, AttentiveState]:
        """o_t (B, T, E) and the weights over the source (B, T, S) after each of (B, T) known tokens, and the state
        behind them.
        """
        y_BTE = self.dropout(self.embedding(tokens_BT))
        if self.query_before:
            return self._asked_before(y_BTE, state)
        if state.fed is not None:
            return self._with_feeding(y_BTE, state, state.fed)
        h_BTH, hidden = self.recurrent(y_BTE, None, state.hidden)
        c_BTD, weights_BTS = self.attention(h_BTH, state.source)
        return self._attentional(c_BTD, h_BTH), weights_BTS, AttentiveState(hidden, state.source, None)

    def reorder_state(self, state: AttentiveState, index: Tensor) -> AttentiveState:
        """The state of the rows `index`, in that order; rows may be dropped or repeated."""
        fed = None if state.fed is None else state.fed[index]
        return AttentiveState(state.hidden[:, index], state.source.rows(index), fed)

    def _attentional(self, c_BTD: Tensor, h_BTH: Tensor) -> Tensor:
        return torch.tanh(self.to_readout(torch.cat([c_BTD, h_BTH.to(c_BTD.dtype)], dim=-1)))

    def _asked_before(self, y_BTE: Tensor, state: AttentiveState) -> tuple[Tensor, Tensor, AttentiveState]:
        """`read` with `query="previous"`, one step after the other."""
        layers = _Layers(self.recurrent, self._cells(), state.hidden, self.from_fed.weight, working_dtype(y_BTE))
        attend = Attending(self.attention, state.source)
        h, tops, contexts, weights = layers.top(), [], [], []
        for x_BG in layers.read(y_BTE):
            c_BD, weights_BS = attend(h)
            before, h = h, layers.step(x_BG, c_BD)
            tops.append(before if self.readout_before else h)
            contexts.append(c_BD)
            weights.append(weights_BS)
        top_BTH = torch.stack(tops, dim=1)
        joined = torch.cat([top_BTH, y_BTE.to(top_BTH.dtype), torch.stack(contexts, dim=1)], dim=-1)
        after = AttentiveState(layers.end(), state.source, None)
        return self.to_readout(joined), torch.stack(weights, dim=1), after

    def _with_feeding(
        self, y_BTE: Tensor, state: AttentiveState, o_BE: Tensor
    ) -> tuple[Tensor, Tensor, AttentiveState]:
        """`read` with input feeding, one step after the other, from what the one before the first has made."""
        dtype = working_dtype(y_BTE)
        layers = _Layers(self.recurrent, self._cells(), state.hidden, self.from_fed.weight, dtype)
        attend, attentional = Attending(self.attention, state.source), OverTime(self.to_readout.weight, dtype)
        outputs, weights = [], []
        for x_BG in layers.read(y_BTE):
            h = layers.step(x_BG, o_BE)
            c_BD, weights_BS = attend(h)
            o_BE = torch.tanh(attentional(torch.cat([c_BD, h], dim=-1)))
            outputs.append(o_BE)
            weights.append(weights_BS)
        after = AttentiveState(layers.end(), state.source, o_BE)
        return torch.stack(outputs, dim=1), torch.stack(weights, dim=1), after

    def _cells(self) -> list[SteppedLayer]:
        return [cell for (cell,) in self.recurrent.cells() if isinstance(cell, SteppedLayer)]


class _Layers:
    """The layers of a stack in the course of one pass, step by step.

    Args:
        recurrent: the stack.
        cells: its layers.
        hidden_LBS: (L, B, S) states before the first step.
        from_fed_GF: what is fed is multiplied by, to be added to what the lowest layer has read.
        dtype: precision of products.
    """

    def __init__(
        self,
        recurrent: Recurrent,
        cells: list[SteppedLayer],
        hidden_LBS: Tensor,
        from_fed_GF: Tensor,
        dtype: torch.dtype,
    ) -> None:
        self._recurrent, self._cells = recurrent, cells
        self._products = [cell.begin(dtype) for cell in cells]
        self._feed = OverTime(from_fed_GF, dtype)
        watched = recurrent.steps is not None and not hidden_LBS.requires_grad
        self._hidden = list((hidden_LBS.detach().requires_grad_() if watched else hidden_LBS).unbind(0))
        if recurrent.steps is not None:
            self._steps = [Steps([], None) for _ in cells]
            recurrent.steps += self._steps

    def top(self) -> Tensor:
        """(B, H), h of the top layer."""
        return self._hidden[-1][:, : self._recurrent.hidden]

    def read(self, y_BTE: Tensor) -> tuple[Tensor, ...]:
        """What the lowest layer reads at each step, (B, G)."""
        return self._cells[0].read(y_BTE.transpose(0, 1)).unbind(0)

    def step(self, x_BG: Tensor, fed_BF: Tensor) -> Tensor:
        """The next h (B, H) of the top layer, from what the lowest one has read and what is fed to it."""
        x_BG = self._feed(fed_BF, x_BG)
        for depth, (cell, products) in enumerate(zip(self._cells, self._products, strict=True)):
            if depth:
                below = self._recurrent.dropout(self._hidden[depth - 1][:, : self._recurrent.hidden])
                x_BG = cell.read(below.unsqueeze(0))[0]
            self._hidden[depth] = cell.step(x_BG, self._hidden[depth], products, None)
            if self._recurrent.steps is not None:
                self._steps[depth].states.append(self._hidden[depth])
        return self.top()

    def end(self) -> Tensor:
        """(L, B, S) states of all layers."""
        return torch.stack(self._hidden)


class AttentiveEncoderDecoder(EncoderDecoder):
    """An encoder–decoder whose decoder looks back at the source."""

    def attention(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Weights over the source, (B, 1, 1, T, S), when the decoder is given (B, T) right tokens; 0 at padding."""
        state = self.decoder.init_state(self.encode(source_BS, lengths_B))
        weights_BTS: Tensor = self.decoder.read(tokens_BT, state)[1]
        return weights_BTS[:, None, None]
