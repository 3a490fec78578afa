"""German sentences: three cases, three genders, strong and weak endings, the verb second or last, split prefixes."""

import functools
import re
from typing import Literal

from seqtrain.data.captions.meaning import Caption, Outfit, Phrase, Predicate, Where

Order = Literal["second", "fronted", "last"]

NUMBERS = {"2": "zwei", "3": "drei", "4": "vier", "5": "fünf", "several": "mehrere"}
INDEFINITE = {
    "nom": {"m": "ein", "f": "eine", "n": "ein"},
    "acc": {"m": "einen", "f": "eine", "n": "ein"},
    "dat": {"m": "einem", "f": "einer", "n": "einem"},
}
DEFINITE = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
ENDING_AFTER_EIN = {
    "nom": {"m": "er", "f": "e", "n": "es"},
    "acc": {"m": "en", "f": "e", "n": "es"},
    "dat": {"m": "en", "f": "en", "n": "en"},
}
ENDING_AFTER_DER = {
    "nom": {"m": "e", "f": "e", "n": "e", "p": "en"},
    "acc": {"m": "en", "f": "e", "n": "e", "p": "en"},
    "dat": {"m": "en", "f": "en", "n": "en", "p": "en"},
}
STRONG_PLURAL = {"nom": "e", "acc": "e", "dat": "en"}
CONTRACTIONS = {"in dem": "im", "in das": "ins", "an dem": "am", "an das": "ans", "zu dem": "zum", "zu der": "zur"}
PRONOUNS = {"m": "er", "f": "sie", "n": "es", "p": "sie"}


def _noun_form(phrase: Phrase, case: str) -> str:
    noun = phrase.noun
    if phrase.many or not noun.de:
        return noun.de_plural + ("n" if case == "dat" and noun.de_plural[-1] not in "ns" else "")
    if noun.weak and case != "nom":
        return noun.de + ("n" if noun.de[-1] in "er" else "en")
    return noun.de


@functools.lru_cache(maxsize=2**16)
def noun_phrase(phrase: Phrase, case: str) -> str:
    """A noun with determiner and adjectives in a case (nom, acc or dat)."""
    det, plural = phrase.det, phrase.many or not phrase.noun.de
    gender = "p" if plural else phrase.noun.de_gender
    if det == "group":
        inner = noun_phrase(phrase._replace(det="bare"), "dat")
        return f"{INDEFINITE[case]['f']} Gruppe von {inner}"
    if det == "the":
        words, ending = [DEFINITE[case][gender]], ENDING_AFTER_DER[case][gender]
    elif plural:
        number = NUMBERS.get(det, "")
        words, ending = [number] if number else [], STRONG_PLURAL[case]
    else:
        words, ending = [INDEFINITE[case][gender]], ENDING_AFTER_EIN[case][gender]
    words += [adjective.de + ending for adjective in phrase.adjectives]
    return " ".join([*words, _noun_form(phrase, case)])


def _prepositional(preposition: str, phrase: Phrase, case: str) -> str:
    text = f"{preposition} {noun_phrase(phrase, case)}".strip()
    two = " ".join(text.split(" ", 2)[:2])
    return text.replace(two, CONTRACTIONS[two], 1) if two in CONTRACTIONS else text


def _where(where: Where) -> str:
    return _prepositional(where.place.de, where.phrase, "dat")


def _gender(phrase: Phrase) -> str:
    return "p" if phrase.plural else ("f" if phrase.det == "group" else phrase.noun.de_gender)


def _subject(phrase: Phrase, outfit: Outfit | None) -> str:
    """The subject; a relative clause is closed by a comma, which the end of the sentence swallows."""
    text = noun_phrase(phrase, "nom")
    if not outfit:
        return text
    if outfit.kind == "who":
        worn = " und ".join(noun_phrase(garment, "acc") for garment in outfit.garments)
        return f"{text}, {DEFINITE['nom'][_gender(phrase)]} {worn} {'tragen' if phrase.plural else 'trägt'},"
    worn = " und ".join(noun_phrase(garment, "dat") for garment in outfit.garments)
    return f"{text} {'in' if outfit.kind == 'in' else 'mit'} {worn}"


def clause(subject: str, plural: bool, predicate: Predicate, order: Order, *, place: bool = True) -> str:
    """A clause after what stands in front of it.

    Args:
        subject: the subject; empty where a pronoun in front of the clause already is it.
        plural: whether the verb is plural.
        predicate: what is done.
        order: `second`: subject, verb; `fronted`: verb, subject, for what is fronted by something else; `last`: verb at
            the end with its prefix.
        place: whether to say the place.
    """
    verb = predicate.verb
    finite = verb.de[plural]
    field = [predicate.when[1] if predicate.when else "", "zusammen" if predicate.together else ""]
    field.append(_where(predicate.where) if predicate.where and place else "")
    field += [_prepositional(prep, predicate.objects[index], case) for prep, case, index in verb.de_objects]
    reflexive = "sich" if verb.de_reflexive else ""
    if order == "last":
        words = [reflexive, subject, *field, verb.de_tail, verb.de_prefix + finite]
    elif order == "fronted":
        words = [finite, reflexive, subject, *field, verb.de_tail, verb.de_prefix]
    else:
        words = [subject, finite, reflexive, *field, verb.de_tail, verb.de_prefix]
    text = " ".join(word for word in words if word)
    if predicate.described:
        seen = predicate.objects[0]
        pronoun = DEFINITE["nom"][_gender(seen)]
        text += f", {pronoun} {clause('', seen.plural, predicate.described, 'last')}"
    return text


def _exists(caption: Caption, subject: str, plural: bool) -> str:
    if caption.predicate.where is None:
        return subject
    return f"{_where(caption.predicate.where)} {'befinden' if plural else 'befindet'} sich {subject}"


def _sentence(caption: Caption) -> str:
    single, predicate = len(caption.subjects) == 1, caption.predicate
    first = caption.subjects[0]
    subject = " und ".join(_subject(phrase, caption.outfit if single else None) for phrase in caption.subjects)
    plural = first.plural or not single
    if caption.pattern == "exists":
        return _exists(caption, subject, plural)
    if caption.pattern == "shown":
        pronoun = DEFINITE["nom"][_gender(first)]
        return f"da {'sind' if plural else 'ist'} {subject}, {pronoun} {clause('', plural, predicate, 'last')}"
    if caption.pattern == "fronted" and predicate.where:
        return f"{_where(predicate.where)} {clause(subject, plural, predicate, 'fronted', place=False)}"
    if caption.pattern == "while_first" and caption.other and caption.other_subject:
        other = caption.other_subject
        aside = clause(noun_phrase(other, "nom"), other.plural, caption.other, "last")
        return f"während {aside}, {clause(subject, plural, predicate, 'fronted')}"
    main = clause(subject, plural, predicate, "second")
    if caption.side:
        tail = f" {caption.side.de_tail}" if caption.side.de_tail else ""
        return f"{main}, während {PRONOUNS[_gender(first)]}{tail} {caption.side.de[plural]}"
    if caption.pattern == "and" and caption.other:
        # The subject of the first half serves for the second, whose verb therefore comes first.
        return f"{main} und {clause('', plural, caption.other, 'second')}"
    if caption.other and caption.other_subject:
        other = caption.other_subject
        return f"{main}, während {clause(noun_phrase(other, 'nom'), other.plural, caption.other, 'last')}"
    return main


def sentence(caption: Caption) -> str:
    """The caption in German, without its capital and full stop."""
    return re.sub(r",+", ",", _sentence(caption)).rstrip(",")
