"""The Transformer (Vaswani et al. 2017, arXiv:1706.03762)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.errors import UserError
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.multihead import CrossAttention, SelfAttention, weights
from seqtrain.layers.output import OutputLayer, working_dtype
from seqtrain.layers.packing import Packing
from seqtrain.layers.positions import Learned, Rotary, Sinusoidal

Norm = Literal["pre", "post"]

ROWS = 256
"""Tokens of a batch are filled up to a multiple of it; see `Packing`."""


@dataclass
class TransformerMemory:
    """What the encoder hands to the decoder.

    Attributes:
        states: (N, D) the top layer's states of all real tokens.
        packing: where they belong in the batch.
    """

    states: Tensor
    packing: Packing


@dataclass
class TransformerState:
    """What the decoder remembers between steps, of B = R · K hypotheses, K for each of R sentences.

    Attributes:
        written: (B, T, 2, H, E) keys and values of what has been written, for each layer.
        source: (R, S, 2, H, E) keys and values of the source sentences, for each layer.
        real: (R, S) true where these are tokens.
    """

    written: list[Tensor]
    source: list[Tensor]
    real: Tensor


class Sublayer(nn.Module):
    """The residual connection round a function f, dropout on what it adds.

        post: LN(x + dropout(f(x)))   Vaswani 2017, section 5.4
        pre:  x + dropout(f(LN(x)))   Xiong 2020, arXiv:2002.04745

    Args:
        width: of x.
        norm: where the layer norm is.
        dropout: rate.
    """

    def __init__(self, *, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x_ND: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        """(N, D) of (N, D)."""
        if self.pre:
            return x_ND + self.dropout(f(self.norm(x_ND)))
        return self.norm(x_ND + self.dropout(f(x_ND)))


class FeedForward(nn.Module):
    """max(0, x W_1 + b_1) W_2 + b_2 (Vaswani 2017, eq. 2).

    Args:
        width: of the input and of the output.
        hidden: columns of W_1.
    """

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, width)
        for linear in (self.first, self.second):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x_ND: Tensor) -> Tensor:
        """(N, D) of (N, D)."""
        return self.second(F.relu(self.first(x_ND)))


class EncoderLayer(nn.Module):
    """Self-attention, of what comes before alone if it is `causal`, and a feed-forward network."""

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        feed_forward: int,
        norm: Norm,
        dropout: float,
        rotary: Rotary | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(width=width, heads=heads, causal=causal, rotary=rotary)
        self.feed_forward = FeedForward(width=width, hidden=feed_forward)
        self.sublayers = nn.ModuleList(Sublayer(width=width, norm=norm, dropout=dropout) for _ in range(2))

    def forward(self, x_ND: Tensor, packing: Packing) -> Tensor:
        """(N, D) states of (N, D) packed ones."""
        x_ND = self.sublayers[0](x_ND, lambda x: self.attention(x, packing))
        return self.sublayers[1](x_ND, self.feed_forward)


class DecoderLayer(nn.Module):
    """Self-attention over what is before, attention over the source, and a feed-forward network."""

    def __init__(
        self, *, width: int, heads: int, feed_forward: int, norm: Norm, dropout: float, rotary: Rotary | None = None
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(width=width, heads=heads, causal=True, rotary=rotary)
        self.cross = CrossAttention(width=width, heads=heads)
        self.feed_forward = FeedForward(width=width, hidden=feed_forward)
        self.sublayers = nn.ModuleList(Sublayer(width=width, norm=norm, dropout=dropout) for _ in range(3))

    def forward(
        self, x_ND: Tensor, packing: Packing, memory: TransformerMemory, seen: list[Tensor] | None = None
    ) -> Tensor:
        """(N, D) states of (N, D) packed ones; adds the weights (B, H, T, S) over the source to `seen`."""
        kv_BS2HE = self.cross.keys_and_values(memory.states, memory.packing)
        real_BS = None if memory.packing.full else memory.packing.real

        def cross(x: Tensor) -> Tensor:
            if seen is not None:
                seen.append(weights(self.cross.queries(x, packing), kv_BS2HE[:, :, 0], memory.packing.real))
            return self.cross(x, packing, kv_BS2HE, real_BS)

        x_ND = self.sublayers[0](x_ND, lambda x: self.attention(x, packing))
        x_ND = self.sublayers[1](x_ND, cross)
        return self.sublayers[2](x_ND, self.feed_forward)

    def step(self, x_BD: Tensor, written: Tensor, source: Tensor, real_RS: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) state of one more token, and the keys and values of all that has been written."""

        def attention(x: Tensor) -> Tensor:
            nonlocal written
            y, written = self.attention.step(x, written)
            return y

        x_BD = self.sublayers[0](x_BD, attention)
        x_BD = self.sublayers[1](x_BD, lambda x: self.cross.step(x, source, real_RS))
        return self.sublayers[2](x_BD, self.feed_forward), written


class Embedded(nn.Module):
    """Token vectors times √D, with positions, then dropout (Vaswani 2017, sections 3.4, 3.5 and 5.4).

    Args:
        table: token vectors.
        positions: what adds positions; nothing does with rotary ones.
        dropout: rate.
    """

    def __init__(self, *, table: nn.Embedding, positions: Sinusoidal | Learned | None, dropout: float) -> None:
        super().__init__()
        self.table, self.positions, self.dropout = table, positions, Dropout(dropout)
        self.width = table.embedding_dim
        self.scale = math.sqrt(self.width)

    def forward(self, tokens_N: Tensor, steps_N: Tensor, end: int) -> Tensor:
        """(N, D) of (N,) tokens at (N,) steps before `end`, in the precision of matrix products."""
        x_ND = self.table(tokens_N) * self.scale
        if self.positions is not None:
            x_ND = self.positions(x_ND, steps_N, end)
        return self.dropout(x_ND.to(working_dtype(x_ND)))


class Projected(nn.Module):
    """Vectors in the place of tokens: W x + b, with positions, then dropout.

    Args:
        inputs: width I of the vectors.
        width: D.
        positions: what adds positions; nothing does with rotary ones.
        dropout: rate.
    """

    def __init__(self, *, inputs: int, width: int, positions: Sinusoidal | Learned | None, dropout: float) -> None:
        super().__init__()
        self.linear, self.positions, self.dropout = nn.Linear(inputs, width), positions, Dropout(dropout)
        self.width = width

    def forward(self, inputs_NI: Tensor, steps_N: Tensor, end: int) -> Tensor:
        """(N, D) of (N, I) vectors at (N,) steps before `end`."""
        x_ND = self.linear(inputs_NI)
        return self.dropout(x_ND if self.positions is None else self.positions(x_ND, steps_N, end))


class Encoder(nn.Module):
    """A stack of encoder layers; with norms in front of sublayers, one more behind the last.

    Args:
        embedded: makes vectors of what it reads.
        layers: the stack.
        norm: where layers have their norms.
    """

    def __init__(self, *, embedded: Embedded | Projected, layers: list[EncoderLayer], norm: Norm) -> None:
        super().__init__()
        self.embedded = embedded
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(embedded.width) if norm == "pre" else nn.Identity()

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> TransformerMemory:
        """Encodes (B, S) ids, or (B, S, I) vectors, of (B,) lengths."""
        steps_S = torch.arange(source_BS.shape[1], device=source_BS.device)
        packing = Packing(steps_S < lengths_B.unsqueeze(1), multiple=ROWS)
        x_ND = self.embedded(packing.pack(source_BS), packing.steps, source_BS.shape[1])
        for layer in self.layers:
            x_ND = layer(x_ND, packing)
        return TransformerMemory(self.norm(x_ND), packing)


class Decoder(nn.Module):
    """A stack of decoder layers and the output layer.

    Args:
        embedded: makes vectors of tokens.
        layers: the stack.
        norm: where layers have their norms.
        output: makes logits.
    """

    def __init__(self, *, embedded: Embedded, layers: list[DecoderLayer], norm: Norm, output: OutputLayer) -> None:
        super().__init__()
        self.embedded = embedded
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(embedded.width) if norm == "pre" else nn.Identity()
        self.output = output

    def forward(self, tokens_BT: Tensor, memory: TransformerMemory, seen: list[Tensor] | None = None) -> Tensor:
        """Inputs of the output layer, (B, T, D), after each of (B, T) known tokens; anything where these are padding.

        Args:
            tokens_BT: what has been written.
            memory: what the encoder says.
            seen: takes up the attention weights (B, H, T, S) of every layer over the source.
        """
        packing = Packing(tokens_BT != 0, multiple=ROWS)
        x_ND = self.embedded(packing.pack(tokens_BT), packing.steps, tokens_BT.shape[1])
        for layer in self.layers:
            x_ND = layer(x_ND, packing, memory, seen)
        return packing.unpack(self.norm(x_ND))

    def init_state(self, memory: TransformerMemory) -> TransformerState:
        """The state before the first step."""
        source = [layer.cross.keys_and_values(memory.states, memory.packing) for layer in self.layers]  # type: ignore[union-attr,operator]
        return TransformerState([kv[:, :0] for kv in source], source, memory.packing.real)

    def step(self, tokens_B: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """(B, V) logits of the next token after (B,) tokens, and the next state."""
        T = state.written[0].shape[1]
        x_BD = self.embedded(tokens_B, torch.full_like(tokens_B, T), T + 1)
        written = []
        for layer, before, source in zip(self.layers, state.written, state.source, strict=True):
            x_BD, after = layer.step(x_BD, before, source, state.real)  # type: ignore[operator]
            written.append(after)
        return self.output(self.norm(x_BD)), TransformerState(written, state.source, state.real)

    def reorder_state(self, state: TransformerState, index: Tensor) -> TransformerState:
        """The state of the rows `index`, in that order; rows may be dropped or repeated.

        Keys and values of the source stay one for a sentence while each has equally many hypotheses, side by side.
        """
        written = [kv.index_select(0, index) for kv in state.written]
        sentences = index // max(1, len(state.written[0]) // max(1, len(state.real)))
        kept, counts = sentences.unique_consecutive(return_counts=True)
        if len(counts) and bool((counts != counts[0]).any()):
            kept = sentences
        if torch.equal(kept, torch.arange(len(state.real), device=kept.device)):
            return TransformerState(written, state.source, state.real)
        source = [kv.index_select(0, kept) for kv in state.source]
        return TransformerState(written, source, state.real.index_select(0, kept))


class Transformer(nn.Module):
    """An encoder and a decoder that read and write sentences.

    Args:
        encoder: reads.
        decoder: writes.
        max_positions: tokens, end of sentence included, that a sentence can have, where there is a limit: then it is
            an attribute too.
    """

    def __init__(self, *, encoder: Encoder, decoder: Decoder, max_positions: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        if max_positions is not None:
            self.max_positions = max_positions

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> TransformerMemory:
        """What the decoder needs to know of (B, S) source ids."""
        return self.encoder(source_BS, lengths_B)

    def teach(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Inputs of the output layer, (B, T, D), when the decoder is given (B, T) right tokens (teacher forcing)."""
        return self.decoder(tokens_BT, self.encode(source_BS, lengths_B))

    def attention(self, source_BS: Tensor, lengths_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """(B, L, H, T, S) weights of every decoder layer's heads over the source under teacher forcing."""
        seen: list[Tensor] = []
        self.decoder(tokens_BT, self.encode(source_BS, lengths_B), seen)
        return torch.stack(seen, 1)


class BitTransformer(nn.Module):
    """Reads vectors with causal attention and writes bits at every step.

    Args:
        encoder: its layers are causal.
        outputs: bits O a step.
        max_positions: steps that a sequence can have, where there is a limit: then it is an attribute too.
    """

    def __init__(self, *, encoder: Encoder, outputs: int, max_positions: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        if max_positions is not None:
            self.max_positions = max_positions
        self.output = nn.Linear(encoder.embedded.width, outputs)

    def forward(self, inputs_BTI: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, O) logits of (B, T, I) vectors of (B,) lengths; anything at padding.

        Raises:
            UserError: a sequence has more steps than there are positions for.
        """
        limit, T = getattr(self, "max_positions", None), inputs_BTI.shape[1]
        if limit is not None and limit < T:
            raise UserError(
                f"a sequence has {T} steps, more than the {limit} positions of the model",
                f"Train with model.max_positions={T}, or with model.positions=sinusoidal.",
            )
        memory = self.encoder(inputs_BTI, lengths_B)
        return self.output(memory.packing.unpack(memory.states))
