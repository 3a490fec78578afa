import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtrain.data.tokenization import SPECIAL, Kind, TextTokenizer
from seqtrain.errors import UserError
from seqtrain.tasks.translation import BOS, EOS, PAD, UNK

TEXTS = [
    "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
    'Ein Mann, der (laut!) singt; ein "Hund" bellt… <eos> \'n 50% - day_1 [a] {b} ▲?',
    "Two young, White males are outside near many bushes.",
    "A man's black-and-white dog isn't here: e\u0301t\u00e9 ÀÉÎ #1 @ & * / \\ | ~ ^ = +",
] * 3
ALPHABET = sorted(set(unicodedata.normalize("NFC", "".join(TEXTS))) | {"\t", "\u00a0", "\n"})
KINDS: list[Kind] = ["bpe", "char"]


def trained(kind: Kind, **options: object) -> TextTokenizer:
    return TextTokenizer.train(TEXTS, kind=kind, **{"size": 300, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def by_kind() -> dict[str, TextTokenizer]:
    return {kind: trained(kind) for kind in KINDS}


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet=st.sampled_from(ALPHABET), max_size=80))
def test_text_comes_back_exactly(by_kind: dict[str, TextTokenizer], text: str) -> None:
    expected = " ".join(unicodedata.normalize("NFC", text).split())
    for tokenizer in by_kind.values():
        ids = tokenizer.encode(text)
        assert UNK not in ids
        assert tokenizer.decode(ids) == expected == tokenizer.normalize(text)
        assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == expected


@pytest.mark.parametrize("text", TEXTS[:4])
def test_words_come_back_exactly_and_what_is_not_known_is_counted(text: str) -> None:
    words = trained("word")
    ids = words.encode(text)
    assert words.decode(ids) == unicodedata.normalize("NFC", text)
    assert words.unknown_count(ids) == 0
    unknown = words.encode("Two quokkas, young")
    assert words.pieces(unknown) == ["▁Two", "<unk>", ",", "▁young"]
    assert words.unknown_count(unknown) == 1
    assert words.decode(unknown) == "Two, young"


def test_punctuation_is_split_off_before_subwords_are_learnt() -> None:
    tokenizer = trained("bpe")
    assert tokenizer.pieces(tokenizer.encode("many bushes.")) == ["▁many", "▁bushes", "."]


def test_special_tokens_have_their_ids_and_cannot_be_typed() -> None:
    for kind in ("bpe", "word", "char"):
        tokenizer = trained(kind)  # type: ignore[arg-type]
        assert tokenizer.pieces([PAD, BOS, EOS, UNK]) == list(SPECIAL)
        again = TextTokenizer.from_json(tokenizer.to_json())
        for one in (tokenizer, again):
            ids = one.encode("<eos> <pad>")
            assert not {PAD, BOS, EOS} & set(ids)


def test_sizes_and_frequencies() -> None:
    assert len(trained("bpe", size=150)) == 150
    assert len(trained("word", size=20)) == 20
    rare = TextTokenizer.train(["a a b", "c"], kind="word", size=50, min_frequency=2)
    assert len(rare) == len(SPECIAL) + 1
    with pytest.raises(UserError, match=r"data.vocabulary=20 is too small.*\n.*or more") as error:
        trained("bpe", size=20)
    needed = int(str(error.value).split("Set data.vocabulary to ")[1].split()[0])
    assert len(trained("bpe", size=needed)) == needed
    with pytest.raises(UserError):
        trained("bpe", size=needed - 1)


def test_lowercase() -> None:
    tokenizer = trained("char", lowercase=True)
    assert tokenizer.decode(tokenizer.encode("Two  BÜSCHE")) == "two büsche"


def test_encoding_many_is_encoding_each() -> None:
    tokenizer = trained("bpe")
    assert tokenizer.encode_all(TEXTS) == [tokenizer.encode(text) for text in TEXTS]
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_training_again_in_another_process_gives_the_same_tokenizer() -> None:
    code = (
        "import sys, json; from seqtrain.data.tokenization import TextTokenizer as T;"
        "print(T.train(json.load(sys.stdin), kind='bpe', size=300).hash)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(TEXTS), capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == trained("bpe").hash
    assert trained("bpe").hash != trained("bpe", lowercase=True).hash


def test_saved_and_loaded(tmp_path: Path) -> None:
    tokenizer, path = trained("bpe"), tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    again = TextTokenizer.load(path)
    assert again.hash == tokenizer.hash
    assert len(again) == len(tokenizer)
    assert again.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer at"):
        TextTokenizer.load(tmp_path / "tokenizer.json")
    path = tmp_path / "tokenizer.json"
    path.write_text(trained("char").to_json()[:200], encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer.json is not a tokenizer"):
        TextTokenizer.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        TextTokenizer.load(path)
    from tokenizers import Tokenizer, models

    path.write_text(Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")).to_str(), encoding="utf-8")
    with pytest.raises(UserError, match="does not begin with the tokens <pad>"):
        TextTokenizer.load(path)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="no tokenizer 'spm'"):
        trained("spm")  # type: ignore[arg-type]
