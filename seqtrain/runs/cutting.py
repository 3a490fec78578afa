"""Whole numbers, as lengths are, cut into buckets."""

Bucket = tuple[int, int]
"""The lowest and the highest value that belong to a bucket."""

BUCKETS = 8
"""Ranges are cut into so many buckets at most, if nobody says otherwise."""


def file_name(split: str) -> str:
    """The file of a run's directory that holds what was found of every bucket of a split."""
    return "buckets.json" if split == "test" else f"buckets-{split}.json"


def equal(low: int, high: int, number: int) -> list[Bucket]:
    """Buckets of one width, the last one maybe narrower, that cover the whole numbers from `low` to `high`."""
    width = -(-(high - low + 1) // number)
    return [(start, min(start + width - 1, high)) for start in range(low, high + 1, width)]


def between(edges: list[int], low: int, high: int) -> list[Bucket]:
    """Buckets that begin at `low` and at every edge above it, up to `high`."""
    starts = [low, *(edge for edge in edges if low < edge <= high)]
    return [(start, end - 1) for start, end in zip(starts, [*starts[1:], high + 1], strict=True)]
