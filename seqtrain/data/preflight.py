"""Mistakes in a data set's configuration that show before torch is imported."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from seqtrain.data import (
    adding_generator,
    algorithms,
    anbn_generator,
    copy_memory_generator,
    dyck_generator,
    parity_generator,
    retrieval_generator,
)
from seqtrain.data.captions import LIMITS
from seqtrain.data.corpora import babi, multi30k, pairs, shards, texts
from seqtrain.data.corpora.hub_stream import check_hub
from seqtrain.data.knowledge import questions as knowledge
from seqtrain.data.programs import generator as programs
from seqtrain.data.world import generator as world
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
        check(**{key: value for key, value in {**data_config, "needed": needed}.items() if key in known})


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


def _pairs(
    *,
    needed: Sequence[str],
    streaming: bool = False,
    hub: str | None = None,
    hub_config: str | None = None,
    train: str | list[str] | None = None,
    source: str = "source",
    target: str = "target",
    val: str | list[str] | None = None,
    test: str | list[str] | None = None,
) -> None:
    checked = partial(pairs.preflight, val=val, test=test, source=source, target=target)
    if not streaming:
        checked(needed=needed, train=train)
    elif hub is not None:
        checked(needed=[])
        files = {"val": val, "test": test}
        check_hub(hub, config=hub_config, needed=[split for split in needed if not files.get(split)])
    else:
        if "train" in needed:
            shards.preflight(train=train, source=source, target=target)
        checked(needed=[split for split in needed if split != "train"])


CHECKS: dict[str, Callable[..., None]] = {
    "seqtrain.data.babi.Babi": babi.preflight,
    "seqtrain.data.babi_sim.BabiSim": world.preflight,
    "seqtrain.data.facts.Facts": knowledge.preflight,
    "seqtrain.data.copy.Copy": algorithms.check_copy,
    "seqtrain.data.repeat_copy.RepeatCopy": algorithms.check_repeat_copy,
    "seqtrain.data.associative_recall.AssociativeRecall": algorithms.check_associative_recall,
    "seqtrain.data.ngrams.NGrams": algorithms.check_ngrams,
    "seqtrain.data.priority_sort.PrioritySort": algorithms.check_priority_sort,
    "seqtrain.data.multi30k.Multi30k": multi30k.preflight,
    "seqtrain.data.pairs.Pairs": _pairs,
    "seqtrain.data.caption_pairs.Captions": _captions,
    "seqtrain.data.brackets.Brackets": programs.preflight,
    "seqtrain.data.chars.Chars": texts.preflight,
    "seqtrain.data.adding.Adding": adding_generator.preflight,
    "seqtrain.data.copy_memory.CopyMemory": copy_memory_generator.preflight,
    "seqtrain.data.anbn.AnBn": anbn_generator.preflight,
    "seqtrain.data.dyck.Dyck": dyck_generator.preflight,
    "seqtrain.data.retrieval.Retrieved": retrieval_generator.preflight,
    "seqtrain.data.parity.Parity": parity_generator.preflight,
}
