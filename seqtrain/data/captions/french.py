"""French sentences: agreement of adjectives and participles, their places, contractions and elision."""

import functools
import re

from seqtrain.data.captions.meaning import Caption, Outfit, Phrase, Predicate, Where

NUMBERS = {"2": "deux", "3": "trois", "4": "quatre", "5": "cinq", "several": "plusieurs"}
VOWELS = "aeiouyhâàéèêëîïôûœ"
# A word that begins with `*` has an aspirated h: it never matches.
ARTICLE_ELISION = re.compile(rf"\b(?:le|la) (?=[{VOWELS}])")
CONTRACTION = re.compile(r"\b(?:de (?:les?|des?)|à les?) ")
ELISION = re.compile(rf"\b(d|qu)e (?=[{VOWELS}])")
CONTRACTIONS = {
    "de le ": "du ",
    "de les ": "des ",
    "de des ": "de ",
    "de de ": "de ",
    "à le ": "au ",
    "à les ": "aux ",
}
ARTICLES = {("a", "m"): "un", ("a", "f"): "une", ("the", "m"): "le", ("the", "f"): "la"}


def smooth(text: str) -> str:
    """Elides and contracts: `la église` to `l'église`, `de le` to `du`, `de une` to `d'une`, `que une` to `qu'une`."""
    text = ARTICLE_ELISION.sub("l'", text)
    text = CONTRACTION.sub(lambda match: CONTRACTIONS[match[0]], text)
    return ELISION.sub(r"\1'", text).replace("*", "")


@functools.lru_cache(maxsize=2**16)
def noun_phrase(phrase: Phrase) -> str:
    """A noun with determiner and adjectives, before elision and contraction."""
    noun, det = phrase.noun, phrase.det
    plural = phrase.many or not noun.fr
    word = noun.fr_plural if plural else noun.fr
    index = 2 * plural + (noun.fr_gender == "f")
    before, after = "", ""
    # Built from the noun outwards, so that a form before a vowel sees the word that follows it; what
    # stands behind the noun comes in the opposite order to English.
    for adjective in reversed(phrase.adjectives):
        if adjective.fr_before:
            following = before or word
            vowel = index == 0 and following[0] in VOWELS
            before = f"{adjective.fr[4 if vowel else index]} {before}"
        else:
            after += f" {adjective.fr[index]}"
    words = f"{before}{word}{after}"
    if det == "group":
        return f"un groupe de {words}"
    if det in NUMBERS:
        return f"{NUMBERS[det]} {words}"
    if plural:
        return f"les {words}" if det == "the" else f"{'de' if before else 'des'} {words}"
    return f"{ARTICLES[det, noun.fr_gender]} {words}"


def agree(participle: str, *, feminine: bool, plural: bool) -> str:
    """A participle with its ending: assis, assise, assis, assises."""
    text = participle + ("e" if feminine else "")
    return text + ("s" if plural and not text.endswith("s") else "")


def _where(where: Where) -> str:
    return f"{where.place.fr} {noun_phrase(where.phrase)}"


def _subject(phrase: Phrase, outfit: Outfit | None) -> str:
    text = noun_phrase(phrase)
    if not outfit:
        return text
    garments = [noun_phrase(garment) for garment in outfit.garments]
    if outfit.kind == "in":
        dressed = agree("vêtu", feminine=phrase.noun.fr_gender == "f", plural=phrase.many)
        return f"{text} {dressed} de {' et de '.join(garments)}"
    if outfit.kind == "with":
        return f"{text} avec {' et '.join(garments)}"
    return f"{text} qui {'portent' if phrase.plural else 'porte'} {' et '.join(garments)}"


def _feminine(subjects: tuple[Phrase, ...]) -> bool:
    """Whether a participle is feminine: only if nobody masculine is among them; a group is masculine."""
    return all(phrase.noun.fr_gender == "f" and phrase.det != "group" for phrase in subjects)


def _does(subjects: tuple[Phrase, ...], predicate: Predicate, *, place: bool = True) -> str:
    """The finite verb with its objects, place and time."""
    plural = len(subjects) > 1 or subjects[0].plural
    objects = [noun_phrase(thing) for thing in predicate.objects]
    if predicate.described:
        objects[0] += f" qui {_does(predicate.objects[:1], predicate.described)}"
    rest = predicate.verb.fr_rest.format(*objects)
    if "~" in rest:
        feminine = _feminine(subjects)
        rest = re.sub(r"~(\w+)", lambda match: agree(match[1], feminine=feminine, plural=plural), rest)
    parts = [predicate.verb.fr[plural], rest, "ensemble" if predicate.together else ""]
    if predicate.where and place:
        parts.append(_where(predicate.where))
    if predicate.when:
        parts.append(predicate.when[2])
    return " ".join(part for part in parts if part)


def _sentence(caption: Caption) -> str:
    subjects, predicate = caption.subjects, caption.predicate
    outfit = caption.outfit if len(subjects) == 1 else None
    subject = " et ".join(_subject(phrase, outfit) for phrase in subjects)
    if caption.pattern == "exists" and predicate.where:
        return f"il y a {subject} {_where(predicate.where)}"
    if caption.pattern == "shown":
        return f"il y a {subject} qui {_does(subjects, predicate)}"
    if caption.pattern == "fronted" and predicate.where:
        return f"{_where(predicate.where)}, {subject} {_does(subjects, predicate, place=False)}"
    main = f"{subject} {_does(subjects, predicate)}"
    if caption.side:
        return f"{main} {caption.side.fr}"
    if caption.pattern == "and" and caption.other:
        return f"{main} et {_does(subjects, caption.other)}"
    if caption.other and caption.other_subject:
        clause = f"pendant que {noun_phrase(caption.other_subject)} {_does((caption.other_subject,), caption.other)}"
        return f"{clause}, {main}" if caption.pattern == "while_first" else f"{main} {clause}"
    return main


def sentence(caption: Caption) -> str:
    """The caption in French, without its capital and full stop."""
    return smooth(_sentence(caption))
