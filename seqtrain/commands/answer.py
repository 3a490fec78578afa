"""Ask a trained run: sentences and questions in, answers out, with what was attended to.

  python -m seqtrain answer run=RUN [--input FILE] [--output FILE] [--json] [KEY=VALUE ...]

  run=RUN                       the directory of a run that was trained to answer; needed
  --input FILE                  UTF-8 text; standard input without it
  --output FILE                 written when all is answered; standard output without it
  --json                        an object a line for every question, in place of text
  checkpoint=best|last|averaged|PATH
                                which weights; best without it
  trainer.accelerator=cpu       no GPU; without it one is used if the run's trainer may and there is one

A line is a sentence. One that ends in ? is a question about the sentences before it and is answered at once; an empty
line begins another story. Files of bAbI can be given as they are: lines numbered from 1, where 1 begins another story,
and questions with their answer behind a tab.

An answer has its probability, and below it how much each hop attended to which sentence, where the model attends to
sentences; what is less than 0.01 in every hop is left out. On a terminal weights are coloured, unless NO_COLOR is set.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.commands.translate import STDIN, converse, open_input
from seqtrain.config.arguments import split
from seqtrain.data.corpora.babi import LISTS, answer_of, words_of
from seqtrain.data.corpora.questions import Question
from seqtrain.data.lines import decoded
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.files import check_writable, write_text

if TYPE_CHECKING:
    from seqtrain.runs.loading import Loaded

OPTIONS = {"--input": str, "--output": str, "--json": bool}
GREETING = "A sentence a line; a line that ends in ? asks; an empty one begins another story; Ctrl-D ends."
LEAST = 0.01
"""Sentences with less weight than this in every hop are not shown."""
SHADES = ("30;48;5;194", "30;48;5;157", "30;48;5;114", "30;48;5;71", "97;48;5;28")
"""How weights are coloured, in equal parts from 0 to 1: codes of ECMA-48's SGR, black and white on greens."""


def main(argv: list[str]) -> int:
    """Writes an answer for every question of the input."""
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s", stream=sys.stderr)
    overrides, options = split(argv, OPTIONS)
    if "output" in options:
        check_writable(Path(options["output"]))
    chosen = choose(overrides, task="answering")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is, whatever the terminal's language
    with open_input(options["input"]) if "input" in options else nullcontext(sys.stdin.buffer) as source:
        # What takes seconds to import comes after all that could have been wrong with the arguments.
        from seqtrain.runs.loading import device_of, load

        loaded = load(chosen)
        loaded.model.to(device_of(loaded))
        colours = "output" not in options and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        name = options.get("input", STDIN)
        asking = Asking(loaded, name=name, as_json=options.get("json", False), colours=colours)
        if not options.keys() & {"input", "output"} and sys.stdin.isatty():
            converse(GREETING, asking.hear)
            return 0
        answers = asking.all(decoded(source, name))
        if "output" in options:
            write_text(Path(options["output"]), "".join(f"{answer}\n" for answer in answers))
            return 0
        for answer in answers:
            print(answer, flush=True)
    return 0


class Reading:
    """Gathers the sentences of stories, line by line, until a question asks about them.

    Args:
        name: of the text, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0
        self._story: list[tuple[str, ...]] = []
        self._number = 0

    def read(self, line: str) -> tuple[tuple[str, ...], Question | None]:
        """The words of a line and, where it asks, the question with its story.

        Raises:
            UserError: a line without a word, or a question before any sentence.
        """
        self.line += 1
        text = line.strip()
        if not text:
            self._story, self._number = [], 0
            return (), None
        numbered = re.match(r"(\d{1,9})\s+(?=\S)", text, re.ASCII)
        if numbered and not self._number:
            self._begin_at(int(numbered[1]) - 1)
        # Other numbers than the next one are part of a sentence.
        if numbered and int(numbered[1]) in (1, self._number + 1):
            self._number, text = int(numbered[1]), text[numbered.end() :]
            self._story = [] if self._number == 1 else self._story
        text, *behind = text.split("\t")
        words = words_of(text)
        if not words:
            raise UserError(f"{self.name}, line {self.line}: there is no word in it")
        if not behind and not text.rstrip().endswith("?"):
            self._story.append(words)
            return words, None
        if not self._story:
            raise UserError(
                f"{self.name}, line {self.line}: there is no sentence before the question", "Tell the story first."
            )
        expected = behind[0].strip() if behind else ""
        return words, Question(tuple(self._story), words, expected, line=self.line)

    def _begin_at(self, number: int) -> None:
        """Takes `number` off the story's only sentence: the next line's number shows that it was one of a line."""
        if len(self._story) == 1 and len(self._story[0]) > 1 and self._story[0][0] == str(number):
            self._number, self._story = number, [self._story[0][1:]]


@dataclass(frozen=True)
class Answer:
    """What a model says to a question.

    Attributes:
        question: what was asked; its own answer is the one that the text gives, if it does.
        story: the sentences that the model has read.
        answer: the most probable one.
        probability: of it.
        hops: of every hop the weight of every sentence; empty where the model does not attend to sentences.
        right: whether it is the one that the text gives; None where the text gives none.
    """

    question: Question
    story: Sequence[Sequence[str]]
    answer: str
    probability: float
    hops: list[list[float]]
    right: bool | None = None

    def as_json(self) -> str:
        """An object in one line."""
        found: dict[str, Any] = {
            "line": self.question.line,
            "question": " ".join(self.question.question),
            "answer": self.answer,
            "probability": round(self.probability, 4),
            "story": [" ".join(sentence) for sentence in self.story],
            "hops": [[round(weight, 4) for weight in hop] for hop in self.hops],
        }
        if self.right is not None:
            found |= {"expected": self.question.answer, "right": self.right}
        return json.dumps(found, ensure_ascii=False)

    def as_text(self, *, colours: bool = False) -> str:
        """The question and the answer in a line and, below it, a table of sentences by hops."""
        said = _coloured(self.answer, "1" if colours else "")
        rows = [
            f"{' '.join(self.question.question)}? {said} ({self.probability:.2f})"
            + (f"; the text says {self.question.answer}" if self.right is False else "")
        ]
        if not self.hops:
            return rows[0]
        rows.append("".join(f"  hop {k}" for k in range(1, len(self.hops) + 1)))
        hidden, first = 0, len(self.question.story) - len(self.story) + 1
        for place, (sentence, *weights) in enumerate(zip(self.story, *self.hops, strict=True), first):
            if max(map(abs, weights)) < LEAST:
                hidden += 1
                continue
            cells = "".join(f"  {_coloured(f'{weight:5.2f}', _shade(weight) if colours else '')}" for weight in weights)
            rows.append(f"{cells}  {place} {' '.join(sentence)}")
        if hidden:
            rows.append(f"  and {hidden} of {len(self.story)} sentences with less than {LEAST}")
        return "\n".join(rows)


class Asking:
    """Reads lines and answers those that ask; what it has to say about them goes to standard error.

    Args:
        loaded: the run.
        name: of the text, for messages.
        as_json: whether answers are objects.
        colours: whether texts are coloured.
    """

    def __init__(self, loaded: "Loaded", *, name: str, as_json: bool = False, colours: bool = False) -> None:
        self._loaded, self._as_json, self._colours = loaded, as_json, colours
        self._reading = Reading(name)
        self._known = set(loaded.data.words)
        self._cut = False

    def all(self, lines: Iterable[str]) -> Iterator[str]:
        """The answers to all questions of a text.

        Raises:
            UserError: there is none, or a line cannot be read or answered.
        """
        asked = False
        for line in lines:
            for answer in self.hear(line):
                asked = True
                yield answer
        if not asked:
            raise UserError(f"{self._reading.name}: no question; a line that asks ends in ?")

    def hear(self, line: str) -> Iterator[str]:
        """The answer to a line that asks, nothing to another."""
        words, question = self._reading.read(line)
        unknown = sorted({*words} - self._known)
        self._known |= {*unknown}  # each is named once
        if unknown:
            self._say(f"not in the training text, and read as one unknown word: {', '.join(unknown)}")
        if question is None:
            return
        limit = self._loaded.data.sentences
        if len(question.story) > limit and not self._cut:
            self._say(f"the story has {len(question.story)} sentences; the last {limit} are read, here and below")
            self._cut = True
        try:
            answer = ask(self._loaded, question)
        except UserError as error:
            raise UserError(f"{self._reading.name}, line {question.line}: {error}") from error
        yield answer.as_json() if self._as_json else answer.as_text(colours=self._colours)

    def _say(self, message: str) -> None:
        print(f"seqtrain: {self._reading.name}, line {self._reading.line}: {message}", file=sys.stderr)


def ask(loaded: "Loaded", question: Question) -> Answer:
    """What a run's model says to a question; of a story that is too long it reads the last sentences."""
    import torch

    from seqtrain.tasks.answering import most_probable

    data = loaded.data
    batch = data.batch([question]).to(loaded.model.device)
    story = question.story[-data.sentences :]
    with torch.inference_mode():
        probability_B, best_B, hops_BKM = most_probable(loaded.model.network, batch.story, batch.question)
    hops = [] if hops_BKM is None else hops_BKM[0, :, : len(story)].tolist()
    answers = data.task.answers
    answer, right = answers[int(best_B)], None
    if question.answer:
        right = answer == _class_of(question.answer, answers)
    return Answer(question, story, answer, float(probability_B), hops, right)


def _class_of(text: str, answers: Sequence[str]) -> str:
    """An answer as the classes are written: the words of lists are sorted. Those of paths, of which some class is not
    sorted, stay in their order.
    """
    of_paths = {word for answer in answers if answer != answer_of(answer, LISTS) for word in answer.split(",")}
    written = answer_of(text, 0)
    return written if of_paths & set(written.split(",")) else answer_of(text, LISTS)


def _coloured(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if code else text


def _shade(weight: float) -> str:
    return SHADES[min(int(weight * len(SHADES)), len(SHADES) - 1)] if weight >= LEAST else ""
