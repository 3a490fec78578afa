"""The tables of `words`, `places` and `actions`, read once into typed entries, which compare by identity."""

import functools
import re
from dataclasses import dataclass

from seqtrain.data.captions.actions import ACTIONS, AGENTS, FLAGS, SIDE_ACTIONS
from seqtrain.data.captions.places import PLACES, TIMES
from seqtrain.data.captions.words import ADJECTIVES, NOUNS


@dataclass(frozen=True, eq=False, slots=True)
class Noun:
    """A thing or a being; a form that does not exist is the empty string."""

    group: str
    en: str
    en_plural: str
    de: str
    de_plural: str
    de_gender: str
    weak: bool
    fr: str
    fr_plural: str
    fr_gender: str


@dataclass(frozen=True, eq=False, slots=True)
class Adjective:
    """A property; `fr` is masculine, feminine, masculine plural, feminine plural, masculine before a vowel."""

    en: str
    de: str
    fr: tuple[str, str, str, str, str]
    fr_before: bool


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """Where something happens; `definite` means that it takes no indefinite article."""

    tags: frozenset[str]
    en: str
    de: str
    fr: str
    noun: Noun
    definite: bool
    adjectives: tuple[Adjective, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Verb:
    """What is done, as templates: English participle, German finite forms and field, French finite forms and rest."""

    en: str
    de: tuple[str, str]
    de_objects: tuple[tuple[str, str, int], ...]  # preposition, case, which object
    de_reflexive: bool
    de_tail: str
    de_prefix: str
    fr: tuple[str, str]
    fr_rest: str


@dataclass(frozen=True, eq=False, slots=True)
class Action:
    """A verb with who may do it, to what and where."""

    verb: Verb
    flags: frozenset[str]
    agents: tuple[Noun, ...]
    objects: tuple[tuple[tuple[Noun, bool], ...], ...]  # for each slot: nouns, and whether they are plural
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False, slots=True)
class SideAction:
    """What somebody does besides: an English participle, German finite forms and closing word, a French gerund."""

    en: str
    de: tuple[str, str]
    de_tail: str
    fr: str


@dataclass(frozen=True, eq=False, slots=True)
class Lexicon:
    """Everything that captions are made of."""

    nouns: dict[str, Noun]
    groups: dict[str, tuple[Noun, ...]]
    adjectives: dict[str, Adjective]
    adjective_groups: dict[str, tuple[Adjective, ...]]
    places: tuple[Place, ...]
    times: tuple[tuple[str, str, str], ...]
    actions: tuple[Action, ...]
    sides: dict[str, tuple[SideAction, ...]]


GENDERS = {"der": "m", "die": "f", "das": "n", "un": "m", "une": "f"}


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _pairs_of_rows(table: str) -> list[list[str]]:
    rows = _rows(table)
    return [first + second for first, second in zip(rows[::2], rows[1::2], strict=True)]


def _noun(group: str, en: str, de: str, fr: str) -> Noun:
    (english, english_plural), (german, german_plural), (french, french_plural) = (
        text.replace("-/", "/").split("/") for text in (f"{en.lstrip('-')}", de, fr)
    )
    german_article, _, german = german.partition(" ")
    french_article, _, french = french.partition(" ")
    return Noun(
        group,
        english,
        english_plural,
        german.rstrip("~"),
        german_plural,
        GENDERS[german_article],
        german.endswith("~"),
        french,
        french_plural,
        GENDERS[french_article],
    )


def _adjective(en: str, de: str, fr: str) -> Adjective:
    before, forms = fr.startswith("<"), fr.lstrip("<").split("/")
    if len(forms) == 1:
        masculine = forms[0].rstrip("=")
        if forms[0].endswith("="):
            forms = [masculine] * 4
        else:
            feminine = masculine if masculine.endswith("e") else masculine + "e"
            forms = [masculine, feminine, masculine if masculine.endswith("s") else masculine + "s", feminine + "s"]
    vowel = forms[4] if len(forms) == 5 else forms[0]
    return Adjective(en, de, (forms[0], forms[1], forms[2], forms[3], vowel), before)


def _place(row: list[str], adjectives: dict[str, Adjective]) -> Place:
    tags, en, de, fr, allowed = row
    english = re.fullmatch(r"(.+) (an?|the) (.+)", en)
    german = re.fullmatch(r"(\w+) (der|die|das) (.+)", de)
    french = re.fullmatch(r"(.+) (une?) (.+)", fr)
    if not english or not german or not french:
        raise ValueError(f"not a place: {row}")
    noun = _noun("place", f"{english[3]}/-", f"{german[2]} {german[3]}/-", f"{french[2]} {french[3]}/-")
    names = [name.strip() for name in allowed.split()]
    return Place(
        frozenset(tags.split()),
        english[1],
        german[1],
        french[1],
        noun,
        english[2] == "the",
        tuple(adjectives[name] for name in names),
    )


def _verb(en: str, de: str, fr: str) -> Verb:
    finite, _, field_ = de.partition(" ")
    singular, plural = finite.split("/")
    objects = []
    for inside in re.findall(r"\{(.+?)\}", field_):
        *preposition, case, index = inside.split()
        objects.append((" ".join(preposition), case, int(index)))
    words = re.sub(r"\{.+?\}", "", field_).split()
    tail = " ".join(word[1:] for word in words if word.startswith("="))
    prefix = "".join(word[1:] for word in words if word.startswith("+"))
    match = re.fullmatch(r"((?:s'|se )?[\w']+)/((?:s'|se )?[\w']+)(?: (.*))?", fr)
    if not match:
        raise ValueError(f"not a French predicate: {fr}")
    return Verb(
        en, (singular, plural), tuple(objects), "sich" in words, tail, prefix, (match[1], match[2]), match[3] or ""
    )


def _fillers(text: str, nouns: dict[str, Noun], groups: dict[str, tuple[Noun, ...]]) -> tuple[tuple[Noun, bool], ...]:
    found: list[tuple[Noun, bool]] = []
    for name in (part.strip() for part in text.split(",")):
        if name.startswith("@"):
            found += [(noun, False) for noun in groups[name[1:]]]
        else:
            found.append((nouns[name.rstrip("#")], name.endswith("#")))
    return tuple(found)


def _action(
    row: list[str], nouns: dict[str, Noun], groups: dict[str, tuple[Noun, ...]], places: tuple[Place, ...]
) -> Action:
    en, de, fr, who, objects, tags = row
    letters = who.replace(" ", "")
    if not set(letters) <= {*AGENTS, *FLAGS}:
        raise ValueError(f"neither a flag nor an agent: {row}")
    agents = tuple(noun for letter in letters if letter in AGENTS for noun in groups[AGENTS[letter]])
    return Action(
        _verb(en, de, fr),
        frozenset(letters) & frozenset(FLAGS),
        agents,
        tuple(_fillers(slot, nouns, groups) for slot in objects.split(";") if objects),
        tuple(place for place in places if place.tags & set(tags.split())),
    )


def _sides(table: str) -> dict[str, tuple[SideAction, ...]]:
    """English main action to what may be done besides it."""
    found: dict[str, tuple[SideAction, ...]] = {}
    for en, de, fr, mains in _pairs_of_rows(table):
        finite, _, tail = de.partition(" ")
        singular, plural = finite.split("/")
        side = SideAction(en, (singular, plural), tail.lstrip("="), fr)
        for main in mains.split(", "):
            found[main] = (*found.get(main, ()), side)
    return found


@functools.cache
def lexicon() -> Lexicon:
    """The one lexicon; reading the tables takes a few milliseconds."""
    groups = {group: tuple(_noun(group, *row) for row in _rows(table)) for group, table in NOUNS.items()}
    nouns = {noun.en or noun.en_plural: noun for members in groups.values() for noun in members}
    adjective_groups = {group: tuple(_adjective(*row) for row in _rows(table)) for group, table in ADJECTIVES.items()}
    adjectives = {adjective.en: adjective for members in adjective_groups.values() for adjective in members}
    places = tuple(_place(row, adjectives) for row in _rows(PLACES))
    return Lexicon(
        nouns=nouns,
        groups=groups,
        adjectives=adjectives,
        adjective_groups=adjective_groups,
        places=places,
        times=tuple((row[0], row[1], row[2]) for row in _rows(TIMES)),
        actions=tuple(_action(row, nouns, groups, places) for row in _pairs_of_rows(ACTIONS)),
        sides=_sides(SIDE_ACTIONS),
    )
