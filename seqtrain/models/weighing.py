"""How much a batch counts in a step that is taken for several: those of all ranks, and of which gradients are added."""

from typing import Any

import torch
from torch import Tensor


class Weighing:
    """Makes the gradient of a step that of the mean over everything that is asked for in its batches together.

    Every batch's loss is a mean, over tokens, say. The process group takes the mean of the ranks' gradients, and
    Lightning that of `trainer.accumulate_grad_batches` batches; a mean of means of unlike numbers of tokens is not the
    mean over the tokens. With n_rk of them in batch k of rank r, and m_k = mean_r n_rk, the loss is multiplied by

        n_rk / m_1      which makes the sum over ranks and batches right but for a factor, and then, once it is there,

    the gradient by K m_1 / Σ_k m_k, where Lightning divides by K however few the last batches of an epoch are.
    """

    def __init__(self) -> None:
        self._means: list[Tensor] = []

    def begin(self) -> None:
        """Begins an epoch: what was added up of a step that was not taken is gone."""
        self._means = []

    def weigh(self, trainer: Any, count: Tensor) -> Tensor | float:
        """What the mean loss of a rank's batch is multiplied by.

        Args:
            trainer: Lightning's.
            count: () what is asked for in the batch.
        """
        if trainer.accumulate_grad_batches == trainer.world_size == 1:
            return 1.0
        mean = trainer.strategy.reduce(count.float(), reduce_op="mean") if trainer.world_size > 1 else count.float()
        self._means.append(mean)
        first = self._means[0].clamp(min=1 / trainer.world_size)  # nothing may be asked for on any rank
        if trainer.accumulate_grad_batches == 1:
            self._means = []
        return count / first

    def complete(self, trainer: Any, gradients: list[Tensor]) -> None:
        """Makes the added up gradients right, in place, where no further batch is added: before anything clips them."""
        if not self._means or trainer.fit_loop.epoch_loop._should_accumulate():
            return
        least = 1 / trainer.world_size
        total = torch.stack(self._means).sum().clamp(min=least)
        factor = trainer.accumulate_grad_batches * self._means[0].clamp(min=least) / total
        self._means = []
        torch._foreach_mul_(gradients, float(factor))
