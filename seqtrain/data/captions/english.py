"""English sentences: articles, progressive forms, the participle's objects."""

import functools

from seqtrain.data.captions.meaning import ANIMALS, Caption, Outfit, Phrase, Predicate, Where

NUMBERS = {"2": "two", "3": "three", "4": "four", "5": "five", "several": "several"}


def article(following: str) -> str:
    """The indefinite article before a word: `an` before a vowel sound."""
    return "an" if following[0] in "aeiouAEIO" and not following.startswith("uni") else "a"


@functools.lru_cache(maxsize=2**16)
def noun_phrase(phrase: Phrase) -> str:
    """A noun with determiner and adjectives."""
    noun, det = phrase.noun, phrase.det
    words = " ".join([*(a.en for a in phrase.adjectives), noun.en_plural if phrase.many or not noun.en else noun.en])
    if det == "group":
        return f"a group of {words}"
    if det == "the":
        return f"the {words}"
    if det in NUMBERS:
        return f"{NUMBERS[det]} {words}"
    return words if det == "bare" or not noun.en else f"{article(words)} {words}"


def _where(where: Where) -> str:
    return f"{where.place.en} {noun_phrase(where.phrase)}"


def _subject(phrase: Phrase, outfit: Outfit | None) -> str:
    text = noun_phrase(phrase)
    if outfit:
        worn = " and ".join(map(noun_phrase, outfit.garments))
        be = "are" if phrase.plural else "is"
        text += f" who {be} wearing {worn}" if outfit.kind == "who" else f" {outfit.kind} {worn}"
    return text


def _doing(predicate: Predicate, plural: bool, *, place: bool = True) -> str:
    """The participle of a singular or plural subject with its objects, place and time."""
    objects = [noun_phrase(thing) for thing in predicate.objects]
    if predicate.described:
        thing = predicate.objects[0]
        pronoun = "that" if thing.noun.group in ANIMALS else "who"
        objects[0] += f" {pronoun} {'are' if thing.plural else 'is'} {_doing(predicate.described, thing.plural)}"
    parts = [predicate.verb.en.format(*objects, self="themselves" if plural else "itself")]
    if predicate.together:
        parts.append("together")
    if predicate.where and place:
        parts.append(_where(predicate.where))
    if predicate.when:
        parts.append(predicate.when[0])
    return " ".join(parts)


def sentence(caption: Caption) -> str:
    """The caption in English, without its capital and full stop."""
    subject = " and ".join(
        _subject(phrase, caption.outfit if len(caption.subjects) == 1 else None) for phrase in caption.subjects
    )
    first, predicate = caption.subjects[0], caption.predicate
    plural = first.plural or len(caption.subjects) > 1
    be = "are" if plural else "is"
    if caption.pattern == "exists":
        there = "are" if first.plural else "is"
        return f"there {there} {subject} {_where(predicate.where)}" if predicate.where else ""
    if caption.pattern == "shown":
        pronoun = "that" if first.noun.group in ANIMALS else "who"
        return f"there {be} {subject} {pronoun} {be} {_doing(predicate, plural)}"
    main = f"{subject} {be} {_doing(predicate, plural)}"
    if caption.pattern == "fronted" and predicate.where:
        return f"{_where(predicate.where)}, {subject} {be} {_doing(predicate, plural, place=False)}"
    if caption.side:
        return f"{main} while {caption.side.en}"
    if caption.pattern == "and" and caption.other:
        return f"{main} and {_doing(caption.other, plural)}"
    if caption.other and caption.other_subject:
        other = caption.other_subject
        clause = f"{noun_phrase(other)} {'are' if other.plural else 'is'} {_doing(caption.other, other.plural)}"
        return f"while {clause}, {main}" if caption.pattern == "while_first" else f"{main} while {clause}"
    return main
