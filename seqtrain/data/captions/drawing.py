"""Draws meanings at random: sensible ones, by the lexicon's tables of who may do what where."""

import random
from collections.abc import Sequence
from typing import TypeVar

from seqtrain.data.captions.lexicon import Action, Adjective, Lexicon, Noun, Place
from seqtrain.data.captions.meaning import ANIMALS, Caption, Outfit, Phrase, Predicate, Where

PEOPLE = ("adult", "child", "town", "musician", "sport", "worker")
COUNTS = ("a",) * 11 + ("the",) + ("2",) * 4 + ("3", "3", "4", "5", "several", "group")
"""Determiners of subjects, as often as they are drawn; `group` is "a group of"."""

T = TypeVar("T")


class Drawer:
    """Draws meanings from a lexicon.

    Args:
        words: the lexicon.
        rng: the source of all choices.
    """

    def __init__(self, words: Lexicon, rng: random.Random) -> None:
        self._words, self._rng = words, rng
        people = [noun for group in PEOPLE for noun in words.groups[group]]
        self._people = frozenset(people)
        actions = words.actions
        self._placed = [action for action in actions if action.places]
        self._postures = [action for action in actions if "o" in action.flags]
        self._seated = [action for action in actions if "s" in action.flags and "2" not in action.flags]
        self._watching = [action for action in actions if "w" in action.flags]
        self._free = [action for action in actions if "!" not in action.flags]
        self._sided = [action for action in actions if action.verb.en in words.sides]
        self._by_place = {
            place: [a for a in actions if place in a.places and "!" not in a.flags] for place in words.places
        }
        self._animate = [n for group in sorted(ANIMALS) for n in words.groups[group]] + people
        self._moves = {
            noun: [a for a in self._free if noun in a.agents and len(a.objects) < 2 and not a.flags & {"2", "w"}]
            for noun in self._animate
        }
        self._patterns = (
            [self._plain] * 30 + [self._fronted] * 16 + [self._exists] * 7 + [self._shown] * 8 + [self._while] * 16
            + [self._and] * 11 + [self._side] * 6 + [self._described] * 6
        )  # fmt: skip

    def draw(self) -> Caption:
        """One meaning; patterns, determiners and extras come with fixed weights."""
        caption = None
        while caption is None:
            caption = self._pick(self._patterns)()
        return caption

    def _pick(self, options: Sequence[T]) -> T:
        return options[int(self._rng.random() * len(options))]

    def _chance(self, probability: float) -> bool:
        return self._rng.random() < probability

    # -- parts ---------------------------------------------------------------------------------------------------

    def _subject(self, action: Action, *, avoid: Noun | None = None) -> Phrase:
        agents = [noun for noun in action.agents if noun is not avoid]
        noun = self._pick(agents or action.agents)
        det = self._pick(COUNTS)
        if noun.group == "collective":
            det = "the" if det == "the" else "a"
        elif "2" in action.flags and det in ("a", "the"):
            det = "2"
        elif noun.group in ANIMALS and det == "group":
            det = "3"
        traits = self._traits(noun, often=0.5)
        return Phrase(noun, det, tuple(t for t in traits if t.en != "smiling" or "q" not in action.flags))

    def _traits(self, noun: Noun, *, often: float) -> tuple[Adjective, ...]:
        if not self._chance(often):
            return ()
        known = self._words.adjectives
        if noun.group in ANIMALS:
            return (known[self._pick(("small", "large", "brown", "black", "white", "spotted"))],)
        if noun.group == "collective":
            return (known[self._pick(("young", "smiling"))],)
        names: list[str] = ["smiling"] if self._chance(0.2) else []
        if noun.group == "child":
            names += self._pick((["little"], ["little", "blond"], ["blond"], ["red-haired"]))
            return tuple(known[name] for name in names)
        ages = ["young", "old"] if noun.en not in ("teenager", "student") else []
        age = self._pick(ages) if ages and self._chance(0.75) else ""
        hair = ["blond", "red-haired"] if age != "old" else []
        if noun.de_gender == "m" and ages:
            hair += ["bearded", "bald"]
        look = self._pick(hair) if hair and (not age or self._chance(0.25)) else ""
        return tuple(known[name] for name in (*names[:1], age, look) if name)

    def _thing(self, noun: Noun, *, many: bool) -> Phrase:
        """An object of an action."""
        det = "bare" if many else ("the" if self._chance(0.12) else "a")
        if noun in self._people or noun.group in ANIMALS:
            return Phrase(noun, det, self._traits(noun, often=0.3))
        colours = self._words.adjective_groups["colour"]
        known, names = self._words.adjectives, list[Adjective]()
        if noun.group in ("thing", "vehicle", "sight") and self._chance(0.3):
            names.append(known[self._pick(("large", "small", "old") if noun.group != "thing" else ("large", "small"))])
        if noun.group in ("thing", "vehicle", "top", "accessory") and self._chance(0.4):
            names.append(self._pick(colours))
        if noun.group == "plain" and self._chance(0.15):
            names.append(known[self._pick(("large", "small"))])
        return Phrase(noun, det, tuple(names))

    def _outfit(self, subject: Phrase) -> Outfit | None:
        noun = subject.noun
        if noun not in self._people or not self._chance(0.4):
            return None
        kind = self._pick(("in", "in", "with", "who"))
        if kind == "who" and subject.det == "group":
            kind = "in"
        female = (noun.de_gender == "f" and noun.en != "person") or noun.en == "girl"
        if kind == "with" or (kind == "who" and self._chance(0.5)):
            return Outfit(kind, (self._garment("accessory", subject),))
        if female and self._chance(0.3):
            return Outfit(kind, (self._garment("dress", subject),))
        garments = [self._garment("top", subject)]
        if self._chance(0.25) and garments[0].noun.en not in ("uniform", "coat"):
            garments.append(self._garment("skirt" if female and self._chance(0.4) else "bottom", subject))
        elif self._chance(0.15):
            garments = [self._garment("bottom", subject)]
        return Outfit(kind, tuple(garments))

    def _garment(self, group: str, subject: Phrase) -> Phrase:
        noun = self._pick(self._words.groups[group])
        kinds = "pattern" if group in ("top", "skirt", "dress") and self._chance(0.15) else "colour"
        adjective = self._pick(self._words.adjective_groups[kinds])
        return Phrase(noun, "bare" if subject.many else "a", (adjective,))

    def _where(self, place: Place) -> Where:
        det = "the" if place.definite or self._chance(0.35) else "a"
        adjectives = (self._pick(place.adjectives),) if place.adjectives and self._chance(0.3) else ()
        return Where(place, Phrase(place.noun, det, adjectives))

    def _predicate(
        self,
        action: Action,
        *,
        subject: Noun,
        place: Place | None = None,
        many: bool = False,
        when: bool = False,
    ) -> Predicate | None:
        objects: list[Phrase] = []
        for slot in action.objects:
            noun, plural = self._pick(slot)
            if noun is subject or (place is not None and noun.en == place.noun.en):
                return None
            objects.append(self._thing(noun, many=plural or (many and "i" in action.flags)))
        outdoors = place is not None and place.tags & {"green", "walk", "city", "sand", "shore", "front", "play"}
        return Predicate(
            action.verb,
            tuple(objects),
            self._where(place) if place else None,
            self._pick(self._words.times) if when and outdoors and self._chance(0.2) else None,
            many and "t" in action.flags and self._chance(0.25),
        )

    # -- patterns ------------------------------------------------------------------------------------------------

    def _main(
        self, action: Action, *, pair: bool = False, place: Place | None = None, when: bool = True
    ) -> tuple[tuple[Phrase, ...], Predicate] | None:
        first = self._subject(action)
        subjects: tuple[Phrase, ...] = (first,)
        if pair and first.noun.group != "collective" and first.det in ("a", "the", "2"):
            second = self._subject(action, avoid=first.noun)
            kin = (first.noun.group in ANIMALS) == (second.noun.group in ANIMALS) and second.noun.group != "collective"
            if second.noun is first.noun or not kin:
                return None
            det = first.det if first.det != "2" else "a"
            subjects = (first, second._replace(det=det))
        many = len(subjects) > 1 or first.many or first.noun.group == "collective"
        predicate = self._predicate(action, subject=first.noun, place=place, many=many, when=when)
        if predicate is None or any(thing.noun is who.noun for thing in predicate.objects for who in subjects):
            return None
        return subjects, predicate

    def _plain(self) -> Caption | None:
        action = self._pick(self._words.actions)
        place = self._pick(action.places) if action.places and ("!" in action.flags or self._chance(0.8)) else None
        main = self._main(action, pair=self._chance(0.25), place=place)
        return main and Caption("plain", main[0], self._outfit(main[0][0]) if len(main[0]) == 1 else None, main[1])

    def _fronted(self) -> Caption | None:
        action = self._pick(self._placed)
        main = self._main(action, pair=self._chance(0.25), place=self._pick(action.places))
        return main and Caption("fronted", main[0], self._outfit(main[0][0]) if len(main[0]) == 1 else None, main[1])

    def _exists(self) -> Caption | None:
        action = self._pick(self._placed)
        main = self._main(action, pair=self._chance(0.5), place=self._pick(action.places), when=False)
        if main is None or action.objects or any(who.det == "the" for who in main[0]):
            return None
        outfit = self._outfit(main[0][0]) if len(main[0]) == 1 else None
        bare = Predicate(action.verb, (), main[1].where)
        return Caption("exists", main[0], outfit if outfit and outfit.kind != "who" else None, bare)

    def _shown(self) -> Caption | None:
        action = self._pick(self._words.actions)
        place = self._pick(action.places) if action.places and ("!" in action.flags or self._chance(0.6)) else None
        main = self._main(action, place=place)
        if main is None or main[0][0].det in ("the", "group"):
            return None
        outfit = self._outfit(main[0][0])
        return Caption("shown", main[0], outfit if outfit and outfit.kind != "who" else None, main[1])

    def _while(self) -> Caption | None:
        action = self._pick(self._placed)
        place = self._pick(action.places)
        main, other = self._main(action, place=place, when=False), self._pick(self._by_place[place] or self._free)
        if main is None or place not in other.places or other.verb.en == action.verb.en:
            return None
        subject = self._subject(other, avoid=main[0][0].noun)
        second = self._predicate(other, subject=subject.noun, many=subject.many)
        used = {phrase.noun for phrase in (*main[0], *main[1].objects)}
        if second is None or subject.noun in used or any(thing.noun in used for thing in second.objects):
            return None
        pattern = "while" if self._chance(0.65) else "while_first"
        outfit = self._outfit(main[0][0]) if self._chance(0.5) else None
        return Caption(pattern, main[0], outfit, main[1], subject, second)

    def _and(self) -> Caption | None:
        action, other = self._pick(self._postures), self._pick(self._seated)
        main = self._main(action, place=self._pick(action.places), when=False)
        if main is None or main[0][0].noun not in other.agents or not main[1].where:
            return None
        place = main[1].where.place
        seated = place.tags & {"seat", "sofa", "ground", "tree", "front", "side"}
        if not (seated or place in other.places):
            return None
        second = self._predicate(other, subject=main[0][0].noun, place=place, many=main[0][0].many)
        if second is None:
            return None
        return Caption("and", main[0], self._outfit(main[0][0]), main[1], None, second._replace(where=None))

    def _side(self) -> Caption | None:
        action = self._pick(self._sided)
        place = self._pick(action.places) if action.places and ("!" in action.flags or self._chance(0.6)) else None
        main = self._main(action, place=place, when=False)
        if main is None or main[0][0].det == "group" or main[0][0].noun.group in ANIMALS:
            return None
        side = self._pick(self._words.sides[action.verb.en])
        if any(trait.en == side.en for trait in main[0][0].adjectives):
            return None
        return Caption("side", main[0], None, main[1]._replace(together=False), side=side)

    def _described(self) -> Caption | None:
        """Somebody watches somebody who does something."""
        main = self._main(self._pick(self._watching))
        if main is None or main[1].objects[0].noun not in self._moves:
            return None
        seen = main[1].objects[0]
        doing = self._pick(self._moves[seen.noun])
        place = self._pick(doing.places) if doing.places and self._chance(0.5) else None
        told = self._predicate(doing, subject=seen.noun, place=place, many=seen.many)
        if told is None or any(thing.noun in (main[0][0].noun, seen.noun) for thing in told.objects):
            return None
        return Caption("plain", main[0], None, main[1]._replace(described=told))
