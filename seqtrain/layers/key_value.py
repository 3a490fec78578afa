"""A memory whose keys are encoded apart from its values (Miller et al. 2016, arXiv:1606.03126).

Shapes, in addition to the legend of `seqtrain.tasks.base`:

    K  hops
    P  places in memory that a sentence has: one, or one for each of its words
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtrain.layers.embedding import embedding as table
from seqtrain.layers.memory import attend
from seqtrain.layers.word_bags import Encoding, WordBag
from seqtrain.tasks.answering import Answering

Memories = Literal["sentence", "window", "triple"]


class KeyValueNetwork(nn.Module):
    """Addresses keys, reads values, changes the question, several times; then compares it with the answers.

        q_1 = A φ(x)        p_h = softmax(q_jᵀ A φ_K(k_h))        o_j = Σ_h p_h A φ_V(v_h)
        q_{j+1} = R_j (q_j + o_j)        answer: softmax(q_{K+1}ᵀ B φ_Y(y))

    (section 3.1), with R_j starting as the identity. What is a key and what a value:

    - `sentence`: each sentence is both.
    - `window`: every word of the story is a value; its key are the words around it in its sentence, and itself. The
      word in the middle is another word than elsewhere: the dictionary of keys is twice as large.
    - `triple`: a sentence's last word is its value, the words before it are its key.

    Args:
        task: sizes of the vocabulary and the memory, and which words the answers are.
        embedding: width E.
        hops: times that the memory is read.
        memories: one of the three.
        window: words of a window, the one in the middle included.
        encoding: of questions and sentences; windows are bags.
        temporal: whether keys and values also say how many sentences ago theirs was; two tables, not in the paper.
        tie_answers: whether B is A.
        deviation: of the normal distribution that embeddings begin from.
    """

    answer_words: Tensor

    def __init__(
        self,
        *,
        task: Answering,
        embedding: int,
        hops: int,
        memories: Memories,
        window: int,
        encoding: Encoding,
        temporal: bool,
        tie_answers: bool,
        deviation: float,
    ) -> None:
        super().__init__()
        self.memories, self.window, self.sentences = memories, window, task.sentences
        self.bag = WordBag(encoding)
        self.words = table(task.vocabulary, embedding, deviation=deviation)
        self.centres = table(task.vocabulary, embedding, deviation=deviation) if memories == "window" else None
        self.key_times = table(task.sentences + 1, embedding, deviation=deviation) if temporal else None
        self.value_times = table(task.sentences + 1, embedding, deviation=deviation) if temporal else None
        self.answers = None if tie_answers else table(task.vocabulary, embedding, deviation=deviation)
        self.register_buffer("answer_words", torch.tensor(task.answer_words), persistent=False)
        self.maps = nn.ParameterList(nn.Parameter(torch.eye(embedding)) for _ in range(hops))

    def forward(self, story_BMW: Tensor, question_BW: Tensor) -> Tensor:
        """(B, A) logits of stories (B, M, W) with questions (B, W), padded with 0."""
        return self.read(story_BMW, question_BW)[0]

    def read(self, story_BMW: Tensor, question_BW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A) logits, and for every hop the weights of the sentences, (B, K, M): those of their windows added up."""
        keys_BMPE, values_BMPE, real_BMP = self.memory(story_BMW)
        keys_BNE, values_BNE, real_BN = keys_BMPE.flatten(1, 2), values_BMPE.flatten(1, 2), real_BMP.flatten(1)
        q_BE = self.bag(self.words.weight, question_BW)
        hops = []
        for R_EE in self.maps:
            o_BE, p_BN = attend(q_BE, keys_BNE, values_BNE, real_BN)
            q_BE = F.linear(q_BE + o_BE, R_EE)
            hops.append(p_BN.view_as(real_BMP).sum(2))
        answers = self.words if self.answers is None else self.answers
        logits_BA = q_BE @ answers.weight[self.answer_words].T
        return logits_BA, torch.stack(hops, dim=1)

    def memory(self, story_BMW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values, (B, M, P, E), of a story (B, M, W), and which of them there are, (B, M, P)."""
        real_BMW = story_BMW != 0
        told_BM1 = real_BMW.any(2, keepdim=True)
        if self.memories == "window":
            keys_BMPE, values_BMPE, real_BMP = *self._windows(story_BMW), real_BMW
        else:
            keys_BME, values_BME = self._sentences(story_BMW)
            keys_BMPE, values_BMPE, real_BMP = keys_BME.unsqueeze(2), values_BME.unsqueeze(2), told_BM1
        if self.key_times is not None and self.value_times is not None:
            ages_BMP = _ages(told_BM1, self.sentences) * real_BMP
            keys_BMPE, values_BMPE = keys_BMPE + self.key_times(ages_BMP), values_BMPE + self.value_times(ages_BMP)
        return keys_BMPE, values_BMPE, real_BMP

    def _sentences(self, story_BMW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, E) keys and values of sentences."""
        if self.memories == "sentence":
            both_BME = self.bag(self.words.weight, story_BMW)
            return both_BME, both_BME
        last_BM1 = ((story_BMW != 0).sum(2, keepdim=True) - 1).clamp(min=0)
        values_BME = self.words(story_BMW.gather(2, last_BM1).squeeze(2))
        return self.bag(self.words.weight, story_BMW.scatter(2, last_BM1, 0)), values_BME

    def _windows(self, story_BMW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, M, W, E) keys and values of the words of sentences."""
        assert self.centres is not None
        values_BMWE = self.words(story_BMW)
        before, behind = (self.window - 1) // 2, self.window // 2
        # Sums of the words of windows are differences of sums from the sentence's beginning on; padding is zero.
        sums_BMWE = F.pad(values_BMWE, (0, 0, before + 1, behind)).cumsum(2)
        W = story_BMW.shape[2]
        around_BMWE = sums_BMWE[:, :, self.window : self.window + W] - sums_BMWE[:, :, :W] - values_BMWE
        return around_BMWE + self.centres(story_BMW), values_BMWE


def _ages(told_BM1: Tensor, most: int) -> Tensor:
    """(B, M, 1) of each sentence, how many there are from it to the end of its story: 1 is the last one's."""
    return told_BM1.long().flip(1).cumsum(1).flip(1).clamp(max=most)
