"""Invented names, each one word."""

from collections.abc import Callable

from seqtrain.data.generating import Draws

_SYLLABLES = "ba bel cor da dri el fa gor ha il jo ka lor ma nel or pa ran sol ta ul ver wen zi"
_COLOURS = (
    "amber azure black bright broken brown burning cold crimson dark distant empty fading first frozen gentle golden "
    "green grey hidden high hollow last long lost low naked narrow old pale quiet red restless rising secret silent "
    "silver sleeping slow small strange strong sudden sunken violet wandering white wild winter"
)
_THINGS = (
    "archer arrow autumn bell bridge canyon castle circus city cloud coast crown desert door dream engine evening "
    "feather field fire forest garden ghost glass harbour heart horizon hotel hunter island key king lantern letter "
    "light mask mirror moon morning mountain night ocean orchard palace river road sailor shadow snow song station "
    "storm stranger street summer thief tower train valley voice waltz window"
)
MOST = 2000
"""The most names of a kind that can be asked for."""


def invented(kind: str, count: int, seed: int) -> list[str]:
    """Different names of a kind, `MOST` at most; those of two kinds are different, too.

    Args:
        kind: of `seqtrain.data.knowledge.relations.KINDS`.
        count: how many; there are 90 years.
        seed: which.
    """
    if kind == "year":
        return [str(year) for year in range(1930, 2020)][:count]
    draws = Draws("facts", kind, seed)

    def one(words: str) -> str:
        known = words.split()
        return known[int(draws.below(len(known), 1)[0])]

    names: dict[str, None] = {}
    while len(names) < count:
        names[_MAKERS[kind](one)] = None
    return list(names)


def _syllables(one: Callable[[str], str], count: int) -> str:
    return "".join(one(_SYLLABLES) for _ in range(count))


_MAKERS: dict[str, Callable[[Callable[[str], str]], str]] = {
    "film": lambda one: f"the_{one(_COLOURS)}_{one(_THINGS)}",
    "person": lambda one: f"{_syllables(one, 2)}_{_syllables(one, 2)}",
    "city": lambda one: _syllables(one, 3) + one("burg ford stead ton"),
    "country": lambda one: f"{_syllables(one, 3)}land",
    "studio": lambda one: f"{_syllables(one, 3)}_studios",
}
