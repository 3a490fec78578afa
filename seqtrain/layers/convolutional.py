"""The convolutional encoder–decoder, which attends to the source in every layer (Gehring et al. 2017)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.convolution import HALF, Convolution, ConvolutionalEncoder, Embedding, Memory, normed_linear
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.output import OutputLayer, working_dtype


class Matrices(NamedTuple):
    """The matrices of a decoder layer, their rows normalised.

    Attributes:
        convolution: (2H, kH).
        query: (E, H).
        context: (H, E).
    """

    convolution: Tensor
    query: Tensor
    context: Tensor


@dataclass
class DecoderState:
    """What the decoder remembers between steps.

    Attributes:
        before: (B, k − 1, H) for every layer, the last inputs of its convolution, zeros before the first.
        position: tokens that have been read.
        memory: what the encoder made of the source of every row.
        matrices: those of every layer, which need to be normalised only once.
    """

    before: list[Tensor]
    position: int
    memory: Memory
    matrices: list[Matrices]


class DecoderLayer(nn.Module):
    """A convolution over what was written, and what it takes from the source (section 3.3).

        v = GLU(conv(hˡ⁻¹))
        d_i = √0.5 (W v_i + b + g_i)
        a_i = softmax over j of d_i · z_j
        c_i = √m Σ_j a_ij √0.5 (z_j + e_j)
        hˡ = √0.5 (√0.5 (v + W' c + b') + hˡ⁻¹)

    for a source of m tokens and the target's embeddings g. The roots keep variances as they are (section 3.4).

    Args:
        hidden: width H.
        width: width E of embeddings, keys and values.
        kernel: inputs that the convolution sees.
        dropout: rate before it.
    """

    def __init__(self, *, hidden: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.convolution = Convolution(hidden=hidden, kernel=kernel, dropout=dropout)
        self.to_query = normed_linear(hidden, width)
        self.from_context = normed_linear(width, hidden)

    def matrices(self, dtype: torch.dtype) -> Matrices:
        """The normalised matrices, for products in that precision."""
        weights = (self.convolution.weight, self.to_query.weight, self.from_context.weight)
        return Matrices(*(weight.to(dtype) for weight in weights))

    def forward(
        self, h_BTH: Tensor, before_BPH: Tensor, g_BTE: Tensor, memory: Memory, matrices: Matrices
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (B, T, H), the convolution's last k − 1 inputs (B, k − 1, H) and attention weights (B, T, S).

        Args:
            h_BTH: the layer's inputs.
            before_BPH: the k − 1 inputs of the convolution before them.
            g_BTE: the target's embeddings.
            memory: what the encoder made of the source.
            matrices: the layer's own.
        """
        x_BPH = torch.cat([before_BPH.to(h_BTH.dtype), self.convolution.dropout(h_BTH)], dim=1)
        v_BTH = self.convolution(x_BPH, matrices.convolution)
        query_BTE = F.linear(v_BTH, matrices.query, self.to_query.bias)
        query_BTE = (query_BTE + g_BTE.to(query_BTE.dtype)) * HALF
        c_BTE, weights_BTS = attend(query_BTE, memory)
        c_BTH = F.linear(c_BTE, matrices.context, self.from_context.bias)
        return ((v_BTH + c_BTH) * HALF + h_BTH) * HALF, x_BPH[:, h_BTH.shape[1] :], weights_BTS


def attend(query_BTE: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Contexts (B, T, E) of (B, T, E) queries, √m times the weighted mean of the values, and the weights (B, T, S)."""
    scores_BTS = query_BTE @ memory.keys.transpose(1, 2)
    wide = torch.promote_types(scores_BTS.dtype, torch.float32)
    real_B1S = memory.real.unsqueeze(1)
    weights_BTS = scores_BTS.to(wide).masked_fill(~real_B1S, -torch.inf).softmax(-1)
    root_B11 = real_B1S.sum(-1, keepdim=True).to(wide).sqrt()
    return (weights_BTS * root_B11).to(memory.values.dtype) @ memory.values, weights_BTS


class ConvolutionalDecoder(nn.Module):
    """Writes a sentence with a stack of convolutions over what it has written.

        h⁰ = W g;  s = W' hᴸ;  p(y_i) = softmax(W_o s_{i−1} + b_o)

    Args:
        vocabulary: number of target tokens.
        embedding: the output's embeddings, E wide.
        width: E.
        hidden: width H.
        layers: number of decoder layers.
        kernel: inputs that each of their convolutions sees.
        dropout: rate before each convolution and before the output layer.
        tie: whether W_o is the embedding matrix.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        embedding: Embedding,
        width: int,
        hidden: int,
        layers: int,
        kernel: int,
        dropout: float,
        tie: bool,
    ) -> None:
        super().__init__()
        self.hidden, self.kernel = hidden, kernel
        self.embedding = embedding
        self.widen = normed_linear(width, hidden, dropout=dropout)
        self.stack = nn.ModuleList(
            DecoderLayer(hidden=hidden, width=width, kernel=kernel, dropout=dropout) for _ in range(layers)
        )
        self.narrow = normed_linear(hidden, width)
        self.dropout = Dropout(dropout)
        self.output = OutputLayer(inputs=width, vocabulary=vocabulary, weight=embedding.tokens.weight if tie else None)

    def init_state(self, memory: Memory) -> DecoderState:
        """The state before the first step."""
        B, dtype = len(memory.keys), working_dtype(memory.keys)
        stack: Any = self.stack
        nothing = memory.keys.new_zeros(B, self.kernel - 1, self.hidden)
        return DecoderState(
            before=[nothing] * len(self.stack),
            position=0,
            memory=memory,
            matrices=[layer.matrices(dtype) for layer in stack],
        )

    def forward(self, tokens_BT: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, list[Tensor]]:
        """Reads (B, T) known tokens.

        Returns:
            Inputs of the output layer after each of them, (B, T, E); the state behind them; and the attention weights
            (B, T, S) of every layer.
        """
        g_BTE = self.embedding(tokens_BT, state.position)
        h_BTH = self.widen(g_BTE)
        before, weights = [], []
        for layer, last_BPH, matrices in zip(self.stack, state.before, state.matrices, strict=True):
            h_BTH, last_BPH, weights_BTS = layer(h_BTH, last_BPH, g_BTE, state.memory, matrices)
            before.append(last_BPH)
            weights.append(weights_BTS)
        position = state.position + tokens_BT.shape[1]
        after = DecoderState(before, position, state.memory, state.matrices)
        return self.dropout(self.narrow(h_BTH)), after, weights

    def step(self, tokens_B: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(B, V) logits of the next token after (B,) tokens, and the next state."""
        s_B1E, state, _ = self(tokens_B.unsqueeze(1), state)
        return self.output(s_B1E[:, 0]), state

    def reorder_state(self, state: DecoderState, index: Tensor) -> DecoderState:
        """The state of the rows `index`, in that order; rows may be dropped or repeated."""
        before = [last_BPH[index] for last_BPH in state.before]
        return DecoderState(before, state.position, state.memory.rows(index), state.matrices)


class ConvolutionalEncoderDecoder(nn.Module):
    """An encoder and a decoder without recurrence.

    Attributes:
        max_positions: tokens, end of sentence included, that a sentence can have.
    """

    def __init__(self, *, encoder: ConvolutionalEncoder, decoder: ConvolutionalDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.max_positions = decoder.embedding.positions.table.num_embeddings

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> Memory:
        """What the decoder needs to know of (B, S) source ids."""
        memory: Memory = self.encoder(source_BS, lengths_B)
        return memory

    def teach(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Inputs of the output layer, (B, T, E), when the decoder is given (B, T) right tokens (teacher forcing)."""
        return self._read(source_BS, lengths_B, tokens_BT)[0]

    def attention(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """(B, L, 1, T, S): how much each decoder layer attends to each source token after each of (B, T) tokens."""
        return torch.stack(self._read(source_BS, lengths_B, tokens_BT)[1], dim=1).unsqueeze(2)

    def _read(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> tuple[Tensor, list[Tensor]]:
        state = self.decoder.init_state(self.encode(source_BS, lengths_B))
        s_BTE, _, weights = self.decoder(tokens_BT, state)
        return s_BTE, weights
