"""Mistakes in a data set's configuration that show before torch is imported."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqtrain.data.brackets_generator import generate
from seqtrain.data.captions import LIMITS
from seqtrain.data.corpora import multi30k, pairs
from seqtrain.errors import UserError


def preflight(data_config: Mapping[str, Any], *, needed: Sequence[str] = ("train", "val")) -> None:
    """Checks what can be checked quickly: that files are there, whole and aligned.

    Args:
        data_config: a data set's configuration, `_target_` included.
        needed: the splits that the command cannot do without.

    Raises:
        UserError: something is missing or wrong.
    """
    check = CHECKS.get(data_config.get("_target_", ""))
    if check is not None:
        known = inspect.signature(check).parameters
        given = {key: value for key, value in data_config.items() if key in known}
        check(needed=needed, **given)


def _captions(
    *,
    needed: Sequence[str],
    source: str = "de",
    target: str = "en",
    size: int = 1,
    val_size: int = 1,
    test_size: int = 1,
) -> None:
    if source == target:
        raise UserError(f"data.source and data.target are both {source!r}", "They must be two languages.")
    for split, key, asked in (("train", "size", size), ("val", "val_size", val_size), ("test", "test_size", test_size)):
        if asked > LIMITS[split]:
            raise UserError(f"data.{key}={asked} is too many", f"There are {LIMITS[split]} captions to be had.")


def _brackets(
    *,
    needed: Sequence[str],
    min_length: int = 10,
    max_length: int = 40,
    test_min_length: int = 10,
    test_max_length: int = 80,
    kinds: int = 2,
    max_depth: int = 8,
) -> None:
    for split, low, high in (("train", min_length, max_length), ("test", test_min_length, test_max_length)):
        # One string of the kind: the generator checks its own limits.
        generate(split=split, size=1, seed=0, min_length=low, max_length=high, kinds=kinds, max_depth=max_depth)


CHECKS: dict[str, Callable[..., None]] = {
    "seqtrain.data.multi30k.Multi30k": multi30k.preflight,
    "seqtrain.data.pairs.Pairs": pairs.preflight,
    "seqtrain.data.caption_pairs.Captions": _captions,
    "seqtrain.data.brackets.Brackets": _brackets,
}
