"""The recurrent encoder–decoder (Cho et al. 2014, arXiv:1406.1078) with any recurrent cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import TiedEmbedding
from seqtrain.layers.output import OutputLayer, state_dtype
from seqtrain.layers.recurrent import Recurrent


@dataclass
class Memory:
    """What an encoder hands to a decoder.

    Attributes:
        states: (B, S, D) the top layer's states, 0 at padding.
        lengths: (B,) source tokens.
        summary: (B, C) the whole sentence in one vector.
    """

    states: Tensor
    lengths: Tensor
    summary: Tensor


@dataclass
class DecoderState:
    """What a decoder remembers between steps.

    Attributes:
        hidden: (L, B, ·) states of the recurrent layers.
        summary: (B, C) the source sentence.
    """

    hidden: Tensor
    summary: Tensor


class Maxout(nn.Linear):
    """The larger of each two neighbours of W x + b (Goodfellow et al. 2013, arXiv:1302.4389).

    Args:
        inputs: width of x.
        outputs: width of the result; W has twice as many rows.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(…, outputs) of (…, inputs)."""
        if x.shape[:-1].numel() < self.out_features:  # what comes out has fewer numbers than the matrix
            sums = super().forward(x)
            return torch.maximum(sums[..., 0::2], sums[..., 1::2])
        # All first neighbours and all second ones, side by side: processors compare rows many elements at a time.
        weight, bias = (torch.cat([p[0::2], p[1::2]]) for p in (self.weight, self.bias))
        return torch.maximum(*nn.functional.linear(x, weight, bias).chunk(2, dim=-1))


class Reader(nn.Module):
    """Reads a sentence: embeddings, dropout and a stack of recurrent layers.

    Args:
        embedding: of source tokens.
        recurrent: the stack that reads them.
        dropout: on embeddings.
    """

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, dropout: Dropout) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = dropout
        self.recurrent = recurrent

    def read(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """See `Recurrent`: outputs and last states for (B, S) ids of (B,) lengths."""
        outputs: tuple[Tensor, Tensor] = self.recurrent(self.dropout(self.embedding(source_BS)), lengths_B)
        return outputs


class Writer(nn.Module):
    """What decoders have in common: target embeddings, recurrent layers, an output layer, and `step` by `forward`.

    A subclass sets `output` by `_output`, and offers `init_state`, `forward` and `reorder_state`.

    Args:
        embedding: of target tokens, E wide; the encoder's where these are the same. The output layer shares the matrix
            of a `TiedEmbedding`.
        recurrent: the stack of layers.
        dropout: on embeddings and on what the output layer reads.
    """

    output: OutputLayer

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, dropout: Dropout) -> None:
        super().__init__()
        self.embedding = embedding
        self.tied = isinstance(embedding, TiedEmbedding)
        self.dropout = dropout
        self.recurrent = recurrent
        self.layers = len(recurrent.stack)

    def _output(self, inputs: int) -> OutputLayer:
        """An output layer of its own or, tied, with the matrix of embeddings."""
        weight = self.embedding.weight
        return OutputLayer(inputs=inputs, vocabulary=len(weight), weight=weight if self.tied else None)

    def step(self, tokens_B: Tensor, state: Any) -> tuple[Tensor, Any]:
        """(B, V) logits of the next token after (B,) tokens, and the next state."""
        s_B1E, state = self(tokens_B.unsqueeze(1), state)
        return self.output(s_B1E[:, 0]), state


class Encoder(Reader):
    """Reads a sentence; its summary is c = tanh(V h_end), h_end the last states of the top layer's directions.

    Args:
        embedding: of source tokens.
        recurrent: the stack that reads them.
        summary: width C of the summary.
        dropout: on embeddings.
    """

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, summary: int, dropout: Dropout) -> None:
        super().__init__(embedding=embedding, recurrent=recurrent, dropout=dropout)
        self.to_summary = nn.Linear(recurrent.outputs, summary)

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> Memory:
        """Encodes (B, S) ids of (B,) lengths."""
        states_BSD, last_LBS = self.read(source_BS, lengths_B)
        return Memory(states_BSD, lengths_B, torch.tanh(self.to_summary(self.recurrent.top(last_LBS))))


class Decoder(Writer):
    """Writes a sentence from its summary c, which every step and every output sees.

        h_0 = tanh(V' c), and so whatever else a cell remembers
        h_t = cell([e(y_{t-1}); c], h_{t-1})
        s_t = maxout_2(O_h h_t + O_y e(y_{t-1}) + O_c c)
        p(y_t) = softmax(W s_t + b)

    as in Cho et al. 2014, appendix A.1; W may be the target embeddings.

    Args:
        embedding: of target tokens, E wide, as s_t is; see `Writer`.
        recurrent: the stack; its inputs are E + C wide.
        summary: width C of the summary.
        dropout: on embeddings and on s_t.
    """

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, summary: int, dropout: Dropout) -> None:
        super().__init__(embedding=embedding, recurrent=recurrent, dropout=dropout)
        E = embedding.embedding_dim
        self.to_state = nn.Linear(summary, self.layers * recurrent.state_size)
        self.to_readout = Maxout(recurrent.hidden + E + summary, E)
        self.output = self._output(E)

    def init_state(self, memory: Memory) -> DecoderState:
        """The state before the first step."""
        B = len(memory.summary)
        hidden = torch.tanh(self.to_state(memory.summary)).view(B, self.layers, -1).transpose(0, 1)
        return DecoderState(hidden.to(state_dtype(hidden)), memory.summary)

    def forward(self, tokens_BT: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Inputs of the output layer, (B, T, E), after each of (B, T) known tokens, and the state behind them."""
        y_BTE = self.dropout(self.embedding(tokens_BT))
        c_BTC = state.summary.unsqueeze(1).expand(-1, tokens_BT.shape[1], -1)
        h_BTH, hidden = self.recurrent(torch.cat([y_BTE, c_BTC.to(y_BTE.dtype)], dim=-1), None, state.hidden)
        joined = torch.cat([h_BTH, y_BTE.to(h_BTH.dtype), c_BTC.to(h_BTH.dtype)], dim=-1)
        s_BTE = self.to_readout(joined)
        return self.dropout(s_BTE), DecoderState(hidden, state.summary)

    def reorder_state(self, state: DecoderState, index: Tensor) -> DecoderState:
        """The state of the rows `index`, in that order; rows may be dropped or repeated."""
        return DecoderState(state.hidden[:, index], state.summary[index])


class EncoderDecoder(nn.Module):
    """An encoder and a decoder that read and write sentences.

    Args:
        encoder: a `Reader` that maps source ids and lengths to what the decoder starts from.
        decoder: a `Writer`.
    """

    def __init__(self, *, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> Any:
        """What the decoder needs to know of (B, S) source ids."""
        return self.encoder(source_BS, lengths_B)

    def teach(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Inputs of the output layer, (B, T, E), when the decoder is given (B, T) right tokens (teacher forcing)."""
        s_BTE: Tensor = self.decoder(tokens_BT, self.decoder.init_state(self.encode(source_BS, lengths_B)))[0]
        return s_BTE

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix as a named (H, H) view."""
        for name, part in (("encoder", self.encoder), ("decoder", self.decoder)):
            for block, matrix in part.recurrent.recurrent_blocks():
                yield f"{name}.{block}", matrix

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """Every forget gate's bias as a named (H,) view."""
        for name, part in (("encoder", self.encoder), ("decoder", self.decoder)):
            for block, bias in part.recurrent.forget_biases():
                yield f"{name}.{block}", bias
