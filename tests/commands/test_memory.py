"""Out of memory: which batch it was, and what to change."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from seqtrain.commands.memory import naming_the_batch
from seqtrain.data.batching import BucketBatchSampler
from seqtrain.decoding.settings import Decoding
from seqtrain.errors import UserError
from seqtrain.models.base import AtHand
from seqtrain.tasks.translation import TranslationBatch

CONFIG = OmegaConf.create(
    {"data": {"batch_tokens": 400, "max_length": 256, "num_workers": 2}, "trainer": {"precision": "32-true"}}
)
DATA = SimpleNamespace(sizes={"train": 100, "val": 100}, lengths=lambda split: np.arange(1, 101))


def model(*examples: int, stage: str, decoding: Decoding | None = None, device: str = "cpu") -> Any:
    """One that has examples at hand, number i of which has i + 1 tokens."""
    index = torch.tensor(examples)
    tokens = torch.zeros(len(index), int(index.max()) + 1, dtype=torch.long)
    batch = TranslationBatch(
        index=index, source=tokens, source_lengths=index + 1, target=tokens, target_lengths=index + 1
    )
    progress = SimpleNamespace(current=SimpleNamespace(processed=1))
    sampler = BucketBatchSampler(lengths=np.arange(1, 101), batch_tokens=400, shuffle=False, indices=np.arange(10))
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        global_step=7,
        train_dataloader=SimpleNamespace(batch_sampler=sampler),
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )
    at_hand = AtHand(batch, stage, decoding)
    return SimpleNamespace(at_hand=at_hand, trainer=trainer, _trainer=trainer, device=torch.device(device))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
)
def test_of_a_training_batch(error: Exception) -> None:
    words = (
        r"^out of memory in step 7, training: a batch of 5 examples \(source 5 × 51, target 5 × 51\), 255 tokens; the "
        r"longest is train example 50 with 51.*\n.*data.batch_tokens=63 \(it is 400; batches of up to 100 tokens fitted"
        r"\) with trainer.accumulate_grad_batches=7.*trainer.precision=bf16-mixed\.$"
    )
    with (
        pytest.raises(UserError, match=words) as caught,
        naming_the_batch(model(50, 40, 41, 42, 43, stage="train", device="cuda"), DATA, CONFIG),
    ):
        raise error
    assert caught.value.code == 1


def test_of_one_long_example_and_of_decoding() -> None:
    with (
        pytest.raises(UserError, match=r"1 example .*\n.*data.max_length=40, which leaves longer"),
        naming_the_batch(model(80, stage="train"), DATA, CONFIG),
    ):
        raise MemoryError
    with (
        pytest.raises(UserError, match=r"decoding: .*\n.*data.batch_tokens=20 .*or decoding.beam=5\.$"),
        naming_the_batch(model(19, 18, stage="val", decoding=Decoding(beam=10)), DATA, CONFIG),
    ):
        raise MemoryError


def test_other_errors_are_left_alone_but_for_a_loaders_process() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), naming_the_batch(model(1, stage="val"), DATA, CONFIG):
        raise RuntimeError("shapes differ")
    with (
        pytest.raises(UserError, match=r"gone: DataLoader worker .*\n.*data.num_workers=2"),
        naming_the_batch(model(1, stage="val"), DATA, CONFIG),
    ):
        raise RuntimeError("DataLoader worker (pid 5) is killed by signal: Killed.")
