"""Networks that read a story word by word and answer a question about it with a class."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.errors import UserError
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.embedding import input_embedding
from seqtrain.layers.ngrams import hashed
from seqtrain.layers.output import OutputLayer
from seqtrain.layers.readers import OnRecurrent, in_a_row
from seqtrain.layers.recurrent import Recurrent
from seqtrain.layers.source_attention import SourceAttention
from seqtrain.layers.transformer import Embedded, Encoder


class AttentiveReader(nn.Module):
    """Attends once to the words of a story with a question (Hermann et al. 2015, arXiv:1506.03340, section 3.2):

        y_t = states of the story's words, u = last states of a second stack, which reads the question
        a_t = softmax_t(score(u, y_t))
        r   = sum_t a_t y_t
        g   = tanh(W_r r + W_u u)
        p(answer) = softmax(W g + b)

    Words have the same vectors in both.

    Args:
        vocabulary: number of words.
        embedding: width E of the embeddings.
        story: the stack that reads the story.
        question: the stack that reads the question.
        attention: with queries and states as wide as what the stacks give.
        answers: number of answers A.
        dropout: rate on embeddings and on g.
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        embedding: int,
        story: Recurrent,
        question: Recurrent,
        attention: SourceAttention,
        answers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = input_embedding(vocabulary, embedding)
        self.story = OnRecurrent(recurrent=story, dropout=Dropout(dropout))
        self.question = OnRecurrent(recurrent=question, dropout=Dropout(dropout))
        self.attention = attention
        self.join = nn.Linear(story.outputs + question.outputs, story.hidden, bias=False)
        self.dropout = Dropout(dropout)
        self.output = OutputLayer(inputs=story.hidden, vocabulary=answers)

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of stories (B, M, W) with questions (B, W), padded with 0."""
        return self.read(story_BMW, question_BW)[0]

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A) logits, and the weights of the sentences' words added up, (B, 1, M)."""
        # Before the first word one of padding, which is all that a story without words has: its state is 0.
        words_BT, lengths_B, places_BT = in_a_row(F.pad(story_BMW.flatten(1), (1, 0)))
        lengths_B = lengths_B.clamp(min=1)
        y_BTD, _ = self._read(self.story, words_BT, lengths_B)
        y_BTD = y_BTD * (words_BT != 0).unsqueeze(2)
        asked_BT, asked_B, _ = in_a_row(question_BW)
        _, last_LBS = self._read(self.question, asked_BT, asked_B)
        u_BD = self.question.recurrent.top(last_LBS)
        r_B1D, weights_B1T = self.attention(u_BD.unsqueeze(1), self.attention.prepare(y_BTD, lengths_B))
        g_BH = torch.tanh(self.join(torch.cat([r_B1D[:, 0], u_BD], dim=1)))
        weights_BP = weights_B1T.new_zeros(len(story_BMW), 1 + story_BMW[0].numel())
        weights_BP = weights_BP.scatter(1, places_BT, weights_B1T[:, 0])
        hops_BM = weights_BP[:, 1:].view(story_BMW.shape).sum(2)
        return self.output(self.dropout(g_BH)), hops_BM.unsqueeze(1)

    def _read(self, reader: OnRecurrent, words_BT: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = reader.recurrent(reader.dropout(self.embedding(words_BT)), lengths_B)
        return outputs

    def recurrent_blocks(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix as a named (H, H) view."""
        return self._named(OnRecurrent.recurrent_blocks)

    def forget_biases(self) -> Iterator[tuple[str, Tensor]]:
        """Every forget gate's bias as a named (H,) view."""
        return self._named(OnRecurrent.forget_biases)

    def _named(self, views: Callable[[OnRecurrent], Iterator[tuple[str, Tensor]]]) -> Iterator[tuple[str, Tensor]]:
        for reader in ("story", "question"):
            for name, view in views(getattr(self, reader)):
                yield f"{reader}.{name}", view


class TransformerReader(nn.Module):
    """Question and story as one sequence for an encoder; its state at the first place answers.

    The sequence is that of Devlin et al. 2019 (arXiv:1810.04805, section 3): a mark whose state is read, the question,
    a mark between, the story. There are no vectors for the two segments.

    Args:
        encoder: its table has `MARKS` vectors more than there are words.
        answers: number of answers A.
        max_positions: words of a question and its story, marks included, that there can be, where there is a limit:
            then it is an attribute, too.
    """

    MARKS = 2

    def __init__(self, *, encoder: Encoder, answers: int, max_positions: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        if max_positions is not None:
            self.max_positions = max_positions
        assert isinstance(encoder.embedded, Embedded)
        table = encoder.embedded.table
        self.first, self.between = table.num_embeddings - 2, table.num_embeddings - 1
        self.output = OutputLayer(inputs=table.embedding_dim, vocabulary=answers)

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of stories (B, M, W) with questions (B, W), padded with 0.

        Raises:
            UserError: a question and its story have more words than there are positions for.
        """
        first_B1, between_B1 = (
            question_BW.new_full((len(question_BW), 1), mark) for mark in (self.first, self.between)
        )
        words_BT, lengths_B, _ = in_a_row(torch.cat([first_B1, question_BW, between_B1, story_BMW.flatten(1)], dim=1))
        limit, T = getattr(self, "max_positions", None), words_BT.shape[1]
        if limit is not None and limit < T:
            raise UserError(
                f"the question and its story have {T - self.MARKS} words; with {self.MARKS} marks these are more than "
                f"the {limit} positions of the model",
                f"Tell a shorter story, or train with model.max_positions={T} or smaller data.sentences.",
            )
        memory = self.encoder(words_BT, lengths_B)
        return self.output(memory.packing.unpack(memory.states)[:, 0])


class NGramClassifier(nn.Module):
    """A linear classifier of a bag of n-grams (Weston et al. 2015, arXiv:1502.05698, section 4).

    The bag holds the n-grams of n ≤ N words of all sentences that share a word with the question, and apart from them
    those of the question. Each has a row of weights, a weight an answer: the logits are the sum of the rows and a
    bias. Rows are found by a hash (`hashed`); k counts the kinds of n-grams from 1, the story's before the question's.
    N-grams may share a row; few do where there are many more rows than n-grams.

    Args:
        vocabulary: number of words.
        n: N, words of the longest n-grams.
        buckets: number of rows.
        answers: number of answers A.
    """

    def __init__(self, *, vocabulary: int, n: int, buckets: int, answers: int) -> None:
        super().__init__()
        self.vocabulary, self.n, self.buckets = vocabulary, n, buckets
        self.weight = nn.Parameter(torch.zeros(buckets + 1, answers))  # the problem is convex
        self.bias = nn.Parameter(torch.zeros(answers))

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of stories (B, M, W) with questions (B, W), padded with 0."""
        rows_BN = self.rows(story_BMW, question_BW)
        return F.embedding_bag(rows_BN, self.weight, mode="sum", padding_idx=0) + self.bias

    def rows(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, X) the rows of the bag's n-grams in any order; 0 is none."""
        asked_BV = question_BW.new_zeros(len(question_BW), self.vocabulary, dtype=torch.bool)
        asked_BV = asked_BV.scatter(1, question_BW, True)
        asked_BV[:, 0] = False
        shares_BM = asked_BV.gather(1, story_BMW.flatten(1)).view(story_BMW.shape).any(2)
        story = story_BMW.masked_fill(~shares_BM.unsqueeze(2), 0)
        return torch.cat([*self._hashed(story, 0), *self._hashed(question_BW.unsqueeze(1), self.n)], dim=1)

    def _hashed(self, words_BMW: Tensor, kinds: int) -> Iterator[Tensor]:
        """(B, M · ·) rows of the n-grams of sentences, one n after the other; so many kinds are told apart already."""
        for n in range(1, min(self.n, words_BMW.shape[2]) + 1):
            yield hashed(words_BMW, n=n, kind=kinds + n, buckets=self.buckets).flatten(1)
