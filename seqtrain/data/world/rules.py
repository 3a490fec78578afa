"""Tasks 15, 16, 18 and 20: what follows from kinds, from examples, from sizes and from moods."""

from seqtrain.data.world.engine import Dice, Draft
from seqtrain.data.world.words import ANIMALS, COLOURS, CONTAINERS, MOTIVES, NAMES, PEOPLE, WALKED

CAST = 4
PLURALS = dict(ANIMALS)


def article(noun: str) -> str:
    """The noun behind its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def deduction(dice: Dice, length: int) -> Draft | None:
    """Task 15: what is somebody afraid of? All of a kind are afraid of one other kind."""
    kinds = [kind for kind, _ in ANIMALS]
    number = dice.between(max(1, length - len(NAMES), length // 3), min(len(kinds), length - 1, (length + 2) // 2))
    fears = {kind: dice.one([other for other in kinds if other != kind]) for kind in dice.some(kinds, number)}
    names = dice.some(NAMES, length - number)
    # The first is asked for, so there is a rule for its kind; the others can be of kinds without one.
    kind_of = {name: dice.one(list(fears) if i == 0 else kinds) for i, name in enumerate(names)}
    facts = {f"{PLURALS[kind]} are afraid of {PLURALS[fears[kind]]}": kind for kind in fears}
    facts |= {f"{name} is {article(kind)}": name for name, kind in kind_of.items()}
    sentences = dice.shuffled(list(facts))
    line_of = {facts[sentence]: line for line, sentence in enumerate(sentences)}
    asked = names[0]
    kind = kind_of[asked]
    return Draft(sentences, f"what is {asked} afraid of", fears[kind], (line_of[asked], line_of[kind]))


def induction(dice: Dice, length: int) -> Draft | None:
    """Task 16: what colour is somebody, when others of the same kind are told to have it? All of a kind have one."""
    kinds = [kind for kind, _ in ANIMALS]
    examples = (length - 1) // 2
    names = dice.some(NAMES, length - examples)
    kinds = dice.some(kinds, dice.between(1 if length < 5 else 2, max(2, min(len(kinds), (examples + 1) // 2))))
    colours = {kind: dice.one(COLOURS) for kind in kinds}
    kind_of = {name: dice.one(kinds) for name in names}
    asked, example = names[-1], dice.one(names[:examples])
    kind_of[asked] = kind_of[example]
    facts = [f"{name} is {article(kind)}" for name, kind in kind_of.items()]
    facts += [f"{name} is {colours[kind_of[name]]}" for name in names[:examples]]
    sentences = dice.shuffled(facts)
    kind = kind_of[example]
    supports = (f"{asked} is {article(kind)}", f"{example} is {article(kind)}", f"{example} is {colours[kind]}")
    lines = tuple(sentences.index(sentence) for sentence in supports)
    return Draft(sentences, f"what colour is {asked}", colours[kind], lines)


def sizes(dice: Dice, length: int) -> Draft | None:
    """Task 18: is one thing bigger than another, or does it fit into it? It takes two comparisons to tell."""
    order = dice.some(CONTAINERS, min(len(CONTAINERS), length // 2 + 3))
    pairs = dice.some([(big, small) for i, big in enumerate(order) for small in order[i + 1 :]], length)
    sentences = [
        dice.one((f"the {big} is bigger than the {small}", f"the {small} fits inside the {big}"))
        for big, small in pairs
    ]
    line_of = {pair: line for line, pair in enumerate(pairs)}
    chains = [
        (big, small, (line_of[big, middle], line_of[middle, small]))
        for big, middle in pairs
        for other, small in pairs
        if other == middle and (big, small) not in line_of
    ]
    if not chains:
        return None
    big, small, lines = dice.one(chains)
    answer, bigger = dice.chance(), dice.chance()
    first, second = (big, small) if answer is bigger else (small, big)
    lines = lines if first == big else lines[::-1]
    question = f"is the {first} bigger than the {second}" if bigger else f"does the {first} fit inside the {second}"
    return Draft(sentences, question, "yes" if answer else "no", lines)


def motives(dice: Dice, length: int) -> Draft | None:
    """Task 20: where will somebody in a mood go, and why did somebody go there or take that?

    Nobody is in one mood twice, so the question has one answer. What moods lead to is no part of the story.
    """
    people = dice.some(PEOPLE, CAST)
    waiting = {person: dice.shuffled(list(MOTIVES)) for person in people}
    stage = dict.fromkeys(people, 0)
    since: dict[str, int] = {}
    sentences: list[str] = []
    asked: dict[str, list[tuple[str, str, int]]] = {}
    for line in range(length):
        person = dice.one([person for person in people if waiting[person]])
        mood = waiting[person][0]
        place, thing = MOTIVES[mood]
        if stage[person] == 0:
            since[person] = line
            sentences.append(f"{person} is {mood}")
        elif stage[person] == 1:
            sentences.append(f"{person} {dice.one(WALKED)} to the {place}")
            asked.setdefault("go", []).append((f"why did {person} go to the {place}", mood, since[person]))
        else:
            sentences.append(f"{person} took {thing}")
            asked.setdefault("take", []).append((f"why did {person} take {thing}", mood, since[person]))
            del waiting[person][0]
        stage[person] = (stage[person] + 1) % 3
    for person in (person for person in people if stage[person] == 1):
        place, _ = MOTIVES[waiting[person][0]]
        asked.setdefault("where", []).append((f"where will {person} go", place, since[person]))
    question, answer, line = dice.one(dice.one(list(asked.values())))
    return Draft(sentences, question, answer, (line,))
