"""Sequence to sequence (Sutskever et al. 2014, arXiv:1409.3215): an encoder's last states are a decoder's first."""

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import Dropout
from seqtrain.layers.encoder_decoder import Reader, Writer
from seqtrain.layers.output import state_dtype
from seqtrain.layers.recurrent import Recurrent, reverse_within


class StateEncoder(Reader):
    """Reads a sentence into the states of all its layers, and whatever else cells remember: an LSTM's h and c.

    Where it reads both ways, a layer's first state of the decoder is both directions' side by side: h is [→h; ←h], c is
    [→c; ←c], each half as wide.

    Args:
        embedding: of source tokens.
        recurrent: the stack that reads them.
        dropout: on embeddings.
        reverse: whether words are read last to first (section 3.3 of the paper); the end of the sentence stays at the
            end.
    """

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, dropout: Dropout, reverse: bool) -> None:
        super().__init__(embedding=embedding, recurrent=recurrent, dropout=dropout)
        self.reverse = reverse

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> Tensor:
        """The (L, B, S) first states of the decoder's layers for (B, S) ids of (B,) lengths."""
        if self.reverse:
            source_BS = reverse_within(source_BS.t().unsqueeze(-1), lengths_B - 1)[..., 0].t()
        _, last_LBS = self.read(source_BS, lengths_B)
        if self.recurrent.directions == 1:
            return last_LBS
        parts = self.recurrent.cells()[0][0].parts
        ways = [last_LBS[way::2].split(parts, dim=-1) for way in range(2)]
        return torch.cat([part for both in zip(*ways, strict=True) for part in both], dim=-1)


class StateDecoder(Writer):
    """Writes a sentence; all that it knows of the source is its first state.

        h_t = layers(e(y_{t-1}), h_{t-1})
        p(y_t) = softmax(W h_t + b)

    Where W is the matrix of embeddings and these have another width, W P h_t.

    Args:
        embedding: of target tokens, E wide; see `Writer`.
        recurrent: the stack; its inputs are E wide.
        dropout: on embeddings and on h_t.
    """

    def __init__(self, *, embedding: nn.Embedding, recurrent: Recurrent, dropout: Dropout) -> None:
        super().__init__(embedding=embedding, recurrent=recurrent, dropout=dropout)
        E, H = embedding.embedding_dim, recurrent.hidden
        self.project = nn.Linear(H, E, bias=False) if self.tied and E != H else None
        self.output = self._output(E if self.tied else H)

    def init_state(self, memory: Tensor) -> Tensor:
        """The (L, B, S) state before the first step: what the encoder made."""
        return memory.to(state_dtype(memory))

    def forward(self, tokens_BT: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs of the output layer, (B, T, E) or (B, T, H), after each of (B, T) known tokens, and the state after
        them.
        """
        h_BTH, state = self.recurrent(self.dropout(self.embedding(tokens_BT)), None, state)
        return self.dropout(h_BTH if self.project is None else self.project(h_BTH)), state

    def reorder_state(self, state: Tensor, index: Tensor) -> Tensor:
        """The state of the rows `index`, in that order; rows may be dropped or repeated."""
        return state[:, index]
