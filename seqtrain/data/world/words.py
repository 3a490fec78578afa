"""The words of the simulated world."""

SHE = ("ada", "clara", "greta", "ida", "lena", "nora", "olga", "rosa")
HE = ("bruno", "emil", "felix", "hugo", "karl", "leo", "oscar", "victor")
NAMES = tuple(name for pair in zip(SHE, HE, strict=True) for name in pair)
PEOPLE = NAMES[:8]
"""Those who walk about."""

PLACES = (
    *("attic", "cellar", "chapel", "library", "orchard", "parlour", "stable", "workshop"),
    *("bakery", "barn", "bridge", "castle", "courtyard", "forge", "fountain", "gallery"),
    *("greenhouse", "harbour", "market", "mill", "museum", "pantry", "tower", "vineyard"),
)
ROOMS = PLACES[:8]
"""Where people walk."""

THINGS = ("basket", "hammer", "kettle", "lantern", "mirror", "violin")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")

WALKED = ("hurried", "ran", "strolled", "walked")
TOOK = ("collected", "picked up", "took")
PUT = ("dropped", "put down", "set aside")
GAVE = ("gave", "handed", "passed")
THEN = ("{} then {} to the {}", "then {} {} to the {}", "after that {} {} to the {}", "afterwards {} {} to the {}")

ANIMALS = (
    *(("badger", "badgers"), ("fox", "foxes"), ("goose", "geese"), ("hen", "hens")),
    *(("lynx", "lynxes"), ("mouse", "mice"), ("owl", "owls"), ("wolf", "wolves")),
)
"""One, and many."""
COLOURS = ("black", "blue", "brown", "green", "red", "white")
SHAPES = ("circle", "cross", "square", "star", "triangle")
CONTAINERS = (
    *("barrel", "bottle", "bucket", "chest", "crate", "drawer"),
    *("envelope", "jar", "purse", "suitcase", "thimble", "wardrobe"),
)

MOTIVES = {
    "bored": ("courtyard", "a ball"),
    "cold": ("parlour", "a blanket"),
    "curious": ("library", "a book"),
    "hungry": ("bakery", "a roll"),
    "thirsty": ("fountain", "a cup"),
    "tired": ("attic", "a pillow"),
}
"""Mood: where it makes people go, and what it makes them take there."""
