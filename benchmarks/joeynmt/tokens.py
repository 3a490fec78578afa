"""The data of both programs: the same tokens, and the same score of what they translate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqtrain.config.allow import build
from seqtrain.config.compose import compose
from seqtrain.runs.scores import metric, score
from seqtrain.tasks.translation import UNK

SETTINGS = [
    *("data=multi30k", "data.source=en", "data.target=de", "data.tokenizer=bpe", "data.vocabulary=8000"),
    *("data.joint=true", "data.lowercase=true", "data.batch_tokens=4096", "data.max_length=100"),
]
DEV = 50
"""Sentences of the peer's development set, which it has to have."""
SPECIAL = 4
"""Special tokens of either program; the peer adds its own."""


def corpus(overrides: Sequence[str]) -> Any:
    """The data module, its splits opened."""
    config = compose([*SETTINGS, *overrides])
    data = build(config.data, "data", seed=config.seed)
    data.setup(None)
    return data


def write(data: Any, folder: Path) -> None:
    """Writes all splits as ids with spaces between them, and the vocabulary, as the peer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = data.target_tokenizer
    (folder / "vocab.txt").write_text("".join(f"{i}\n" for i in range(SPECIAL, len(tokenizer))))
    for split, name, most in (("train", "train", None), ("val", "dev", DEV), ("test", "test", None)):
        for language, texts in (("en", data.sources(split)), ("de", data.references(split))):
            rows = tokenizer.encode_all(texts[:most])
            lines = (" ".join("<unk>" if i == UNK else str(i) for i in row) for row in rows)
            (folder / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines))


def texts(data: Any, file: Path) -> list[str]:
    """The text of ids in a file that the peer wrote."""
    lines = file.read_text().splitlines()
    return [data.target_tokenizer.decode(int(word) for word in line.split() if word.isdigit()) for line in lines]


def bleu(data: Any, hypotheses: Sequence[str]) -> float:
    """Lowercased BLEU (13a) of translations of the test set."""
    return score(metric("bleu_lc"), hypotheses, data.references("test")).score
