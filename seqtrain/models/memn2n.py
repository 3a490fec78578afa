"""The end-to-end memory network (Sukhbaatar et al. 2015, arXiv:1503.08895)."""

from typing import Any, Literal

import torch
from torch import Tensor

from seqtrain.config.types import NonNegative, Positive, PositiveFloat, Share
from seqtrain.layers.memn2n import MemoryNetworks
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Batch


class MemN2N(SequenceModel):
    """Hops over the sentences of a story, trained end to end; several trainings side by side, the best one answers.

    The linear start (section 4.2) trains without softmax in the hops first. Until it is over, the learning rate is
    `linear_rate` times the optimiser's and no schedule is stepped: a schedule begins where the softmax comes in.

    Args:
        task: what the network is built for.
        embedding: width d of sentences, questions and memories.
        hops: how often the memory is looked at.
        tying: `adjacent`: what one hop has as values the next one has as keys. `layerwise`: every hop has the same
            keys and values, and a matrix H is between hops.
        encoding: how words' embeddings are weighted in a sentence: `bag` not at all, `position` as in the paper,
            `position_code` as in the authors' code.
        temporal: whether sentences have a vector for how long ago they were.
        noise: in training, so many empty memories per sentence at most move these times (random noise).
        linear_epochs: epochs without softmax; `None`: until the validation loss does not fall any more.
        linear_rate: share of the learning rate in them.
        relu: whether the state is made positive after each hop.
        mask: whether empty memories are left out of the softmax; in the original they are in it.
        reduction: whether a step follows the sum of its questions' losses, as in the original, or their mean.
        restarts: trainings that go on side by side, on the same batches, each from a start of its own. Outside of
            training the one answers that had the lowest error on the last whole training epoch.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("answering",)
    network: MemoryNetworks
    lowest: Tensor
    falls: Tensor

    def __init__(
        self,
        *,
        task: Answering,
        embedding: Positive = 20,
        hops: Positive = 3,
        tying: Literal["adjacent", "layerwise"] = "adjacent",
        encoding: Literal["bag", "position", "position_code"] = "position",
        temporal: bool = True,
        noise: Share = 0.1,
        linear_epochs: NonNegative | None = 0,
        linear_rate: PositiveFloat = 0.5,
        relu: bool = False,
        mask: bool = True,
        reduction: Literal["sum", "mean"] = "sum",
        restarts: Positive = 1,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.linear_epochs, self.linear_rate, self.reduction = linear_epochs, linear_rate, reduction
        self.network = MemoryNetworks(
            vocabulary=task.vocabulary,
            sentences=task.sentences,
            answer_words=task.answer_words,
            embedding=embedding,
            hops=hops,
            tying=tying,
            encoding=encoding,
            temporal=temporal,
            noise=noise,
            relu=relu,
            mask=mask,
            replicas=restarts,
        )
        self.network.linear.fill_(linear_epochs != 0)
        # Of the linear start that ends by itself: the lowest validation loss, and whether it fell the last time.
        self.register_buffer("lowest", torch.tensor(torch.inf, dtype=torch.float64))
        self.register_buffer("falls", torch.tensor(True))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch; behind the last of an epoch, it is settled which replica answers."""
        loss = super().training_step(batch, batch_idx)
        if self.trainer.is_last_batch:
            network = self.network
            for counted in (network.wrong, network.lost, network.asked):
                counted.copy_(self.trainer.strategy.reduce(counted, reduce_op="sum"))
            network.end_epoch()
            errors = {"train/lowest_error": network.errors.min(), "train/highest_error": network.errors.max()}
            self.log_dict({name: error.float() for name, error in errors.items()}, on_step=False, on_epoch=True)
        return loss

    def _weight(self, count: Tensor) -> Tensor | float:
        """Makes of means over questions and replicas what each replica follows alone; the logged loss is the mean."""
        replicas = len(self.network.errors)
        if self.reduction == "mean":
            return super()._weight(count) * replicas
        return count * self.trainer.world_size * replicas  # a mean over ranks is taken of it

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Ends the linear start where it is time to, and sets the learning rate."""
        if not self.network.linear:
            return
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        over = not self.falls if self.linear_epochs is None else self.current_epoch >= self.linear_epochs
        if not over:
            rates = [optimizer.defaults["lr"] * self.linear_rate] * len(optimizer.param_groups)
        else:
            self.network.linear.fill_(False)
            schedule: Any = self.lr_schedulers()
            rates = [optimizer.defaults["lr"]] * len(optimizer.param_groups)
            rates = rates if schedule is None else schedule.get_last_lr()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Goes on with the schedule, if the linear start is over."""
        if not self.network.linear:
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics, and looks whether the loss still falls."""
        super().on_validation_epoch_end()
        if self.linear_epochs is None and self.network.linear and self._fits and "val/loss" in self._logged:
            loss = self._logged["val/loss"].double()
            self.falls.copy_(loss < self.lowest)
            self.lowest.copy_(torch.minimum(self.lowest, loss))

    @property
    def _fits(self) -> bool:
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

    @property
    def _logged(self) -> Any:
        return self.trainer.callback_metrics
