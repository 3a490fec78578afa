"""Translating and scoring texts with a model that is there already: long lines, samples, and what each is given."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from seqtrain.commands.score import main as score_main
from seqtrain.commands.score import scores
from seqtrain.commands.translate import main as translate_main
from seqtrain.commands.translate import translate
from seqtrain.data.pairs import Pairs
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.models.gru import GRU
from seqtrain.runs.loading import Loaded
from seqtrain.runs.record import Run

GERMAN = ["ein Mann lacht .", "eine Frau läuft , ein Hund bellt .", "zwei Kinder spielen im Garten .", "ein Hund ."]
ENGLISH = ["a man laughs .", "a woman runs , a dog barks .", "two children play in the garden .", "a dog ."]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """An untrained model of words, so that the words of a translation are its tokens again."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, lines in (("a.de", GERMAN), ("a.en", ENGLISH)):
        (folder / name).write_text("\n".join(lines) + "\n")
    files = [str(folder / "a.de"), str(folder / "a.en")]
    data = Pairs(train=files, val=files, tokenizer="word", min_frequency=1, cache=str(folder), seed=1, batch_tokens=20)
    data.setup()
    torch.manual_seed(3)
    model = GRU(task=data.task, embedding=8, hidden=8).eval()
    model.network.decoder.output.bias.data.normal_()  # type: ignore[union-attr,operator]
    config = OmegaConf.create({"data": {"source": "de", "target": "en"}, "trainer": {"accelerator": "cpu"}})
    return Loaded(Run(folder), config, data, model, folder / "best.ckpt", 0)


@pytest.fixture
def short(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """The same model, with positions for nine tokens."""
    monkeypatch.setattr(loaded.model.network, "max_positions", 9, raising=False)
    return loaded


@pytest.mark.parametrize(
    "decoding", [Decoding(beam=3, n_best=3, max_length=9), Decoding(sample=True, n_best=5, max_length=9)]
)
def test_scores_are_the_log_probabilities_of_what_translate_gives(loaded: Loaded, decoding: Decoding) -> None:
    found = translate(loaded, decoding, GERMAN)
    sources = [source for source, some in zip(GERMAN, found, strict=True) for _ in some]
    hypotheses = [h for some in found for h, _ in some]
    texts = [text for some in found for _, text in some]
    again = list(scores(loaded, sources, texts))
    assert len(again) == 4 * decoding.n_best
    assert len({round(value, 3) for value, _ in again}) > 8
    for (log_probability, tokens), hypothesis in zip(again, hypotheses, strict=True):
        assert log_probability == pytest.approx(hypothesis.log_probability, abs=1e-4)
        assert tokens == len(hypothesis.tokens) + 1


def test_order_and_company_do_not_matter(loaded: Loaded) -> None:
    together = list(scores(loaded, GERMAN, ENGLISH))
    for source, target, expected in zip(GERMAN, ENGLISH, together, strict=True):
        assert next(iter(scores(loaded, [source], [target]))) == pytest.approx(expected, abs=1e-4)


def test_samples_go_by_the_number_of_the_line(loaded: Loaded) -> None:
    decoding = Decoding(sample=True, n_best=2, max_length=9)
    lines = [*GERMAN, "", GERMAN[0]]
    together = translate(loaded, decoding, lines)
    assert [[text for _, text in some] for some in together[4:5]] == [[""]]
    for number, line in enumerate(lines, 1):
        alone = translate(loaded, decoding, [line], first=number)[0]
        assert [text for _, text in alone] == [text for _, text in together[number - 1]]
    assert together[0] != together[5]


def test_a_line_that_is_too_long_is_refused(short: Loaded) -> None:
    texts = [GERMAN[0], " ".join(["Hund"] * 9)]
    with pytest.raises(UserError, match=r"in\.txt, line 12 has 10 tokens, its end included; .* positions for 9"):
        translate(short, Decoding(), texts, name="in.txt", first=11)
    with pytest.raises(UserError, match=r"b\.txt, line 2 has 10 tokens"):
        list(scores(short, ["ein Hund"] * 2, texts, names=("a.txt", "b.txt")))
    assert translate(short, Decoding(), [" ".join(["Hund"] * 8)])


def test_or_split_and_joined_again(short: Loaded) -> None:
    line = "ein Mann lacht . eine Frau läuft , ein Hund bellt . ein Hund ."
    decoding = Decoding(beam=2, n_best=2, max_length=6, too_long="split", length_penalty=0.5)
    sentences = ["ein Mann lacht .", "eine Frau läuft , ein Hund bellt .", "ein Hund ."]
    (found,) = translate(short, decoding, [line])
    apart = translate(short, decoding, sentences)
    for rank, (hypothesis, text) in enumerate(found):
        own = [some[rank] for some in apart]
        assert text == " ".join(text for _, text in own if text)
        assert hypothesis.tokens == [token for h, _ in own for token in h.tokens]
        assert hypothesis.log_probability == pytest.approx(sum(h.log_probability for h, _ in own), abs=1e-4)
        length = sum(len(h.tokens) + 1 for h, _ in own)
        assert hypothesis.score == pytest.approx(hypothesis.log_probability / length**0.5, abs=1e-5)
    drawn = Decoding(sample=True, too_long="split", max_length=9)
    ((_, twice),) = translate(short, drawn, ["ein Hund . " * 4])[0]
    assert twice
    ((_, one),) = translate(short, drawn, ["ein Hund ."])[0]
    assert twice != " ".join([one] * 4)  # every piece draws for itself


def test_no_hypothesis_is_longer_than_the_positions(short: Loaded) -> None:
    short.model.network.decoder.output.bias.data[2] -= 50
    try:
        counts = Counter[str]()
        ((hypothesis, _),) = translate(short, Decoding(max_length=50), GERMAN[:1], counts=counts)[0]
    finally:
        short.model.network.decoder.output.bias.data[2] += 50
    assert len(hypothesis.tokens) == 8
    assert counts["cut"] == 1


def test_what_training_never_saw_is_counted(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    list(scores(loaded, ["ein Igel lacht ."], ["a hedgehog laughs ☃ ."], names=("a.txt", "b.txt")))
    said = capsys.readouterr().err
    assert "1 tokens of a.txt are unknown to the tokenizer" in said
    assert "2 tokens of b.txt are unknown to the tokenizer" in said


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--source", "a"], "--source and --target go together"),
        (["--pairs", "a", "--source", "b", "--target", "c"], "Give --pairs alone"),
        (["--source", "two", "--target", "one"], "line counts differ: two has 2 lines, one has 1"),
        (["--source", "two", "--target", "empty"], "empty, line 2 is empty"),
        (["--source", "latin", "--target", "one"], "latin, line 1: byte 0xe4 is not UTF-8"),
        (["--source", "nowhere", "--target", "one"], "there is no file nowhere"),
        (["--pairs", "two"], "two, line 1 has 1 columns, not 2"),
    ],
)
def test_mistakes(argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"one": b"a\n", "two": b"a\nb\n", "empty": b"a\n \n", "latin": b"B\xe4r\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)

    def chosen(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr("seqtrain.commands.score.choose", chosen)
    with pytest.raises(UserError, match=message):
        score_main(["run=x", *argv])


class Stdin:
    """Standard input that is a terminal or a pipe."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(content)
        self.isatty = lambda: terminal


@pytest.fixture
def found(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever run is asked for, it is this model."""
    decoding = {"_target_": "seqtrain.decoding.settings.Decoding", "max_length": 4}
    chosen = SimpleNamespace(config=OmegaConf.create({"decoding": decoding}))
    monkeypatch.setattr("seqtrain.commands.translate.choose", lambda *_, **__: chosen)
    monkeypatch.setattr("seqtrain.runs.loading.load", lambda _: loaded)


def test_a_conversation_goes_on_after_what_is_no_text(
    found: None, loaded: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: Iterator[str] = iter(["ein Hund .", "ein B\udce4r .", "ein Mann lacht ."])
    prompts = []

    def asked(prompt: str) -> str:
        prompts.append(prompt)
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr("sys.stdin", Stdin(terminal=True))
    assert translate_main(["run=x"]) == 0
    said = capsys.readouterr()
    texts = ["ein Hund .", "ein Mann lacht ."]
    assert said.out.splitlines() == [some[0][1] for some in translate(loaded, Decoding(max_length=4), texts)]
    assert "that is not UTF-8" in said.err
    assert prompts == [""] * 4  # standard output is no terminal


def test_a_terminal_can_be_translated_to_a_file(
    found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"ein Hund .\n\n", terminal=True))
    assert translate_main(["run=x", "--output", str(tmp_path / "out.txt")]) == 0
    lines = (tmp_path / "out.txt").read_text().split("\n")
    assert len(lines) == 3
    assert lines[0]
    said = capsys.readouterr()
    assert said.out == ""
    assert "1 translations were ended at 4 tokens" in said.err


def test_what_translate_refuses(found: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"ein Hund\nein B\xe4r\n"))
    with pytest.raises(UserError, match="standard input, line 2: byte 0xe4 is not UTF-8"):
        translate_main(["run=x"])
    (tmp_path / "file").touch()

    def loads(_: Any) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr("seqtrain.runs.loading.load", loads)
    for output in (tmp_path, tmp_path / "file" / "out.txt"):
        with pytest.raises(UserError, match=f"cannot write {output}"):
            translate_main(["run=x", "--output", str(output)])
