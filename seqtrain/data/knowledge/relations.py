"""What the facts of the knowledge base say, and how they are asked for.

A relation is asked for by a verb ("who taught x") or by a noun ("the teacher of x"). In a question about two facts the
noun belongs to the first one and the verb to the second ("where does the teacher of x live"), so that a bag of the
question's words says which is which.
"""

from dataclasses import dataclass

KINDS = ("film", "person", "city", "country", "studio", "year")


@dataclass(frozen=True)
class Relation:
    """What stands between a subject and its one object.

    Attributes:
        name: the word that facts have for it.
        subject: kind of the subjects.
        object: kind of the objects.
        asks: questions for the object, `{}` being the subject or a noun phrase of it.
        nouns: words for the object, "the … of" the subject.
        order: `even`: objects are drawn, each about as often as the others; `path`: subjects in random order, each of
            them having the one before it as its object; `ring`: the same, and the first has the last.
    """

    name: str
    subject: str
    object: str
    asks: tuple[str, ...]
    nouns: tuple[str, ...]
    order: str = "even"

    def questions(self, subject: str) -> list[str]:
        """All questions for the object of a subject."""
        word = "who" if self.object == "person" else "what"
        return [ask.format(subject) for ask in self.asks] + [f"{word} is {phrase}" for phrase in self.phrases(subject)]

    def phrases(self, subject: str) -> list[str]:
        """All noun phrases for the object of a subject."""
        return [f"the {noun} of {subject}" for noun in self.nouns]


def _relation(fact: str, asks: str, nouns: str, order: str = "even") -> Relation:
    subject, name, found = fact.split()
    return Relation(name, subject, found, tuple(asks.split(" | ")), tuple(nouns.split()), order)


RELATIONS = (
    _relation("film directed_by person", "who directed {} | by whom was {} directed", "director maker"),
    _relation("film written_by person", "who wrote {} | by whom was {} written", "writer author"),
    _relation("film starring person", "who is starring in {} | who acted in {}", "star actor"),
    _relation("film filmed_in city", "where was {} filmed | where did they shoot {}", "location set"),
    _relation("film made_by studio", "which company made {} | which studio paid for {}", "studio producer"),
    _relation("film released_in year", "when was {} released | when did {} come out", "release premiere"),
    _relation("film follows film", "what does {} continue | what happened before {}", "original model", "path"),
    _relation("person born_in city", "where was {} born | where did {} grow up", "birthplace origin"),
    _relation("person lives_in city", "where does {} live | where is {} at home", "residence address"),
    _relation("person born_on year", "when was {} born | since when has {} lived", "birth birthday"),
    _relation("person taught_by person", "who taught {} | from whom did {} learn", "teacher mentor", "path"),
    _relation("person admires person", "who is it that {} admires | whom does {} look up to", "idol hero", "ring"),
    _relation("person known_for film", "what is {} known for | what made {} famous", "masterpiece success"),
    _relation("city located_in country", "which country contains {} | where lies {}", "country nation"),
    _relation("city north_of city", "what is {} north of | what lies south of {}", "neighbour south", "path"),
    _relation("country capital city", "from where is {} governed | which city heads {}", "capital seat"),
    _relation("country ruled_by person", "who rules {} | by whom is {} governed", "ruler president"),
    _relation("studio based_in city", "where is {} based | where does {} have its office", "headquarters site"),
    _relation("studio owned_by person", "who owns {} | to whom does {} belong", "owner boss"),
)
