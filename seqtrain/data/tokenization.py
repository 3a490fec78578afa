"""Tokenizers: subwords, words or characters, trained on the training split, with nothing of the text lost.

A text is normalised (NFC, white space to single spaces), its spaces become `▁` at the front of the next piece, and
punctuation marks are pieces of their own before anything is learnt: `by bushes.` is `▁by`, `▁bushes`, `.`. Joining the
pieces and turning `▁` into spaces gives the normalised text back, so no detokenisation rules are needed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from seqtrain.errors import UserError

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
"""The special tokens; the positions are their ids, those of `seqtrain.tasks.translation`."""
UNKNOWN = SPECIAL.index("<unk>")
SPACE = "▁"

Kind = Literal["bpe", "word", "char"]


class TextTokenizer:
    """Text to token ids and back.

    Args:
        tokenizer: a trained tokenizer of the `tokenizers` library with `SPECIAL` as its first tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Otherwise a text in which "<eos>" is written would end there.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._pieces = [tokenizer.id_to_token(i) or "" for i in range(tokenizer.get_vocab_size())]

    @classmethod
    def train(
        cls, texts: Iterable[str], *, kind: Kind, size: int, min_frequency: int = 1, lowercase: bool = False
    ) -> "TextTokenizer":
        """A tokenizer learnt from texts; the same texts and settings give the same tokenizer.

        Args:
            texts: what to learn from.
            kind: `bpe` (byte pair encoding within words, Sennrich 2016), `word` or `char`.
            size: number of tokens at most, the special ones included.
            min_frequency: how often a word, a character or a pair to be merged must occur to become a token; the
                characters that BPE starts from are all kept.
            lowercase: whether texts are lowercased before anything else.

        Raises:
            UserError: `size` leaves no room for the characters that BPE starts from.
        """
        if kind not in get_args(Kind):
            raise UserError(f"there is no tokenizer {kind!r}", f"Choose one of {', '.join(get_args(Kind))}.")
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>") if kind == "bpe" else models.WordLevel(unk_token="<unk>"))
        tokenizer.normalizer = _normalizer(lowercase)
        tokenizer.pre_tokenizer = _pre_tokenizer(kind)
        settings: dict[str, Any] = {
            "vocab_size": size,
            "min_frequency": min_frequency,
            "special_tokens": list(SPECIAL),
            "show_progress": False,
        }
        trainer = trainers.BpeTrainer(**settings) if kind == "bpe" else trainers.WordLevelTrainer(**settings)
        tokenizer.train_from_iterator(texts, trainer)
        if tokenizer.get_vocab_size() > size:
            needed = tokenizer.get_vocab_size()
            raise UserError(
                f"data.vocabulary={size} is too small: the text has {needed - len(SPECIAL)} different characters",
                f"Set data.vocabulary to {needed} or more.",
            )
        return cls(tokenizer)

    @classmethod
    def from_json(cls, text: str, name: str = "tokenizer.json") -> "TextTokenizer":
        """The tokenizer that `to_json` wrote.

        Raises:
            UserError: `text`, the content of the file `name`, is no tokenizer, or not one of this project.
        """
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare exceptions
            raise UserError(f"{name} is not a tokenizer: {error}", "It is broken or was cut off.") from error
        if [tokenizer.id_to_token(i) for i in range(len(SPECIAL))] != list(SPECIAL):
            message = f"{name} does not begin with the tokens {' '.join(SPECIAL)}"
            raise UserError(message, "Use one that a run has saved.")
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "TextTokenizer":
        """The tokenizer in a file; a missing or broken one is a `UserError`."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            raise UserError(f"there is no tokenizer at {path}", "Is this the directory of a run?") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error

    def to_json(self) -> str:
        """The whole tokenizer as text, the same for the same tokenizer."""
        return self._tokenizer.to_str(pretty=True)

    @property
    def hash(self) -> str:
        """sha256 (hex) of the tokenizer."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._pieces)

    def normalize(self, text: str) -> str:
        """`text` as the tokenizer sees it, and as `decode` gives it back."""
        return self._tokenizer.normalizer.normalize_str(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special ones but `UNK`."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts, on all cores."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids; special ones are left out."""
        pieces = "".join(self._pieces[i] for i in ids if i >= len(SPECIAL))
        return pieces.replace(SPACE, " ").strip()

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The tokens behind ids, special ones included, as they are shown beside attention weights."""
        return [self._pieces[i] for i in ids]

    @staticmethod
    def unknown_count(ids: Iterable[int]) -> int:
        """How many of the ids stand for what the tokenizer does not know."""
        return sum(i == UNKNOWN for i in ids)


def _normalizer(lowercase: bool) -> normalizers.Normalizer:
    # Lowercasing comes before NFC, as it can leave a letter and its mark apart (İ).
    steps = [normalizers.Lowercase()] if lowercase else []
    spaces = normalizers.Replace(Regex(rf"[\s{SPACE}]+"), " ")
    return normalizers.Sequence([*steps, normalizers.NFC(), spaces, normalizers.Strip()])


def _pre_tokenizer(kind: Kind) -> pre_tokenizers.PreTokenizer:
    if kind == "char":
        marked = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=False)
        return pre_tokenizers.Sequence([marked, pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")])
    marked = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    mark = pre_tokenizers.Split(Regex(rf"{SPACE}?[^\w{SPACE}]"), behavior="isolated")
    return pre_tokenizers.Sequence([marked, mark])
