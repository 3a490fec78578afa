"""Out of memory: on which batch, and what to change."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import islice
from typing import Any

import numpy as np
from omegaconf import DictConfig

from seqtrain.errors import UserError, is_out_of_memory
from seqtrain.models.base import AtHand, SequenceModel

FEW = 4
"""Examples of a batch that is large for their length, not for their number."""
DOING = {"train": "training", "val": "validation", "test": "the test"}


@contextmanager
def naming_the_batch(model: SequenceModel, data: Any, config: DictConfig) -> Iterator[None]:
    """Where memory runs out in the block, says on which batch of the model's; or that a loader's process was killed.

    Args:
        model: what computes.
        data: the data module that the batches come from.
        config: what was asked for.

    Raises:
        UserError: it did; what the failed computation held is given back by then.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            raise UserError(
                f"a process that makes batches is gone: {error}",
                f"It was one of data.num_workers={config.data.get('num_workers')}. Was it killed for want of memory? "
                "Use fewer; with 0 batches are made without.",
                code=1,
            ) from None
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()
        traceback.clear_frames(error.__traceback__)
        found = _described(model, data, config)
        if reason:
            found[0] += f" ({reason[0][:200]})"
        raise UserError(*found, code=1) from None


def _described(model: SequenceModel, data: Any, config: DictConfig) -> list[str]:
    """What happened, and what to do about it."""
    there: AtHand | None = model.at_hand
    if there is None:
        return ["out of memory before the first batch", "Build a smaller model, or use a machine with more memory."]
    batch, stage = there.batch, there.stage
    lengths = data.lengths(stage)[batch.index.cpu().numpy()] if stage in data.sizes else None  # not of a stream
    fitting = model._trainer is not None and model.trainer.state.fn == "fit"
    step = f"step {model.trainer.global_step}, " if fitting else ""
    doing = "decoding" if there.decoding is not None else DOING[stage]
    said = f"out of memory in {step}{doing}: a batch of {_size(batch)}"
    if lengths is not None and len(lengths):
        longest = int(lengths.argmax())
        said += (
            f", {len(batch) * int(lengths.max()):,} tokens; the longest is {stage} example "
            f"{int(batch.index[longest])} with {int(lengths[longest]):,}"
        )
    ways = [
        *_batch_ways(there, lengths, model, data, config),
        *([f"decoding.beam={there.decoding.beam // 2}"] if there.decoding and there.decoding.beam > 1 else []),
        *_precision(model, config),
    ]
    return [said, f"Set {', or '.join(ways)}." if ways else "Build a smaller model."]


def _size(batch: Any) -> str:
    """Examples, and the sizes of what is padded: `64 examples (source 64 × 31, target 64 × 28)`."""
    tensors = {field.name: getattr(batch, field.name) for field in fields(batch)}
    sizes = [f"{name} {' × '.join(map(str, t.shape))}" for name, t in tensors.items() if getattr(t, "ndim", 0) > 1]
    return f"{len(batch)} example{'s' * (len(batch) > 1)} ({', '.join(sizes)})"


def _batch_ways(
    there: AtHand, lengths: np.ndarray | None, model: SequenceModel, data: Any, config: DictConfig
) -> list[str]:
    """Smaller batches; of a sentence that is one by itself, a limit to its length."""
    training, few, ways = there.stage == "train", len(there.batch) <= FEW, []
    if training and few and lengths is not None and "max_length" in config.data:
        ways = [f"data.max_length={max(1, int(lengths.max()) // 2)}, which leaves longer examples out"]
    if len(there.batch) == 1:
        return ways
    if "batch_tokens" in config.data and lengths is not None:
        key, now = "data.batch_tokens", config.data.batch_tokens
        cost = len(there.batch) * int(lengths.max())
        fitted = _largest_before(model, data) if training else 0
        value = cost // 2
        while fitted and value > fitted:
            value //= 2
        value = max(value, int(lengths.max()))
        way = f"{key}={value} (it is {now}" + (f"; batches of up to {fitted:,} tokens fitted)" if fitted else ")")
    else:
        key = "data.batch_size" if "batch_size" in config.data else "data.batch_tokens"
        now = config.data.get(key.partition(".")[2]) or len(there.batch)
        value = max(1, now // 2)
        way = f"{key}={value} (it is {now})"
    if not training:
        return [way]
    times = -(-now // value) * config.trainer.get("accumulate_grad_batches", 1)
    return [f"{way} with trainer.accumulate_grad_batches={times} for steps of the same size", *ways]


def _largest_before(model: SequenceModel, data: Any) -> int:
    """Tokens of the largest batch that was trained on in this epoch; 0 where that is not known."""
    loader: Any = model.trainer.train_dataloader
    sampler = getattr(loader, "batch_sampler", None)
    if sampler is None:
        return 0
    progress: Any = model.trainer.fit_loop.epoch_loop.batch_progress.current
    lengths = data.lengths("train")
    trained = islice(sampler.batches(sampler.epoch), progress.processed)
    return max((len(b) * int(lengths[b].max()) for b in trained if len(b)), default=0)


def _precision(model: SequenceModel, config: DictConfig) -> list[str]:
    full = str(config.trainer.get("precision") or "32-true") in ("32", "32-true")
    return ["trainer.precision=bf16-mixed"] if full and model.device.type == "cuda" else []
