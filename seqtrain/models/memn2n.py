"""The end-to-end memory network (Sukhbaatar et al. 2015, arXiv:1503.08895)."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from seqtrain.callbacks.clipping import GradientClipping
from seqtrain.config.types import NonNegative, Positive, Share
from seqtrain.errors import UserError
from seqtrain.layers.memn2n import MemoryNetworks
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.answering import Answering
from seqtrain.tasks.base import Batch, Measures


class MemN2N(SequenceModel):
    """Hops over the sentences of a story, trained end to end; several trainings side by side, the best one answers.

    The linear start (section 4.2) trains without softmax in the hops first. Until it is over, no schedule is stepped: a
    schedule begins where the softmax comes in.

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
        relu: whether the state is made positive after each hop.
        mask: whether empty memories are left out of the softmax; in the original they are in it, and have to be for
            what needs several hops.
        reduction: whether a step follows the sum of its questions' losses, as in the original, or their mean.
        restarts: trainings that go on side by side, on the same batches, each from a start of its own. Outside of
            training the one answers that had the lowest error on the last whole training epoch.
        options: `label_smoothing`, see `SequenceModel`.

    Raises:
        UserError: when training begins, where the softmax would never be trained, and where restarts would meddle
            with each other.
    """

    tasks = ("answering",)
    network: MemoryNetworks

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
        relu: bool = False,
        mask: bool = False,
        reduction: Literal["sum", "mean"] = "sum",
        restarts: Positive = 1,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        self.linear_epochs, self.reduction = linear_epochs, reduction
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
        self.network.linear = linear_epochs != 0
        # Of the linear start that ends by itself: the lowest validation loss, and whether it fell the last time.
        self._lowest, self._falls = math.inf, True
        self._known: Tensor | None = None

    def on_fit_start(self) -> None:
        """Refuses what cannot come out as it is meant."""
        trainer: Any = self.trainer
        epochs = trainer.max_epochs or -1
        if self.linear_epochs and 0 < epochs <= self.linear_epochs and not trainer.fast_dev_run:
            raise UserError(
                f"trainer.max_epochs={epochs} ends before the linear start does, model.linear_epochs="
                f"{self.linear_epochs}: the softmax would never be trained",
                "Set model.linear_epochs lower, or 0 to train without a linear start.",
            )
        if self.linear_epochs is None and not trainer.enable_validation:
            raise UserError(
                "model.linear_epochs=null ends the linear start by the validation loss, but there is no validation",
                "Set model.linear_epochs to a number.",
            )
        clippings = [callback for callback in trainer.callbacks if isinstance(callback, GradientClipping)]
        together = any(c.adaptive is not None or (c.norm is not None and not c.per_parameter) for c in clippings)
        by_trainer = trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value"
        if len(self.network.errors) > 1 and (together or by_trainer):
            raise UserError(
                f"model.restarts={len(self.network.errors)} trainings would be clipped by a norm that they share",
                "Set callbacks.clipping.per_parameter=true with a callbacks.clipping.norm, or model.restarts=1.",
            )

    def measure(self, batch: Batch, *, smoothing: float = 0.0) -> Measures:
        """Loss and sums of one batch."""
        measures = super().measure(batch, smoothing=smoothing)
        self._known = measures.sums["known"]
        return measures

    def _counted(self) -> Tensor:
        """What was counted in this epoch on all ranks."""
        counted = self.network.counted.to(self.device, copy=True)
        return torch.as_tensor(self.trainer.strategy.reduce(counted, reduce_op="sum"))

    def on_after_backward(self) -> None:
        """Keeps a replica whose gradients are not finite from stopping others; float16's are the scaler's to see.

        Behind the last batch of an epoch, it is settled which replica answers.
        """
        super().on_after_backward()
        network = self.network
        if len(network.errors) > 1 and getattr(self.trainer.precision_plugin, "scaler", None) is None:
            network.keep_apart()
        if self.trainer.is_last_batch:
            network.counted = self._counted()
            network.end_epoch()
            errors = {"train/lowest_error": network.errors[network.best], "train/highest_error": network.errors.max()}
            logged = {name: error.float() for name, error in errors.items()}
            self.log_dict(logged, on_step=False, on_epoch=True, batch_size=1, sync_dist=True, reduce_fx="max")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what was counted since the epoch began, over all ranks, and what ends the linear start."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["memn2n"] = {"counted": self._counted().cpu(), "lowest": self._lowest, "falls": self._falls}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with it; the first rank has counted it all."""
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get("memn2n")
        if kept is not None:
            self._lowest, self._falls = kept["lowest"], kept["falls"]
            first = self._trainer is None or self.trainer.is_global_zero
            self.network.counted = kept["counted"] if first else torch.zeros_like(kept["counted"])

    def _weight(self, count: Tensor) -> Tensor | float:
        """Makes of means over questions and replicas what each replica follows alone; the logged loss is the mean."""
        replicas = len(self.network.errors)
        known = count if self._known is None else self._known  # it is they that the loss is a mean over
        if self.reduction == "mean":
            return super()._weight(known) * replicas
        # A mean over ranks and over batches is taken of it.
        return known * self.trainer.world_size * self.trainer.accumulate_grad_batches * replicas

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Ends the linear start where it is time to."""
        if self.network.linear:
            falls = self._falls if self.linear_epochs is None else self.current_epoch < self.linear_epochs
            self.network.linear = falls

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Goes on with the schedule, if the linear start is over."""
        if not self.network.linear:
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics, and looks whether the loss still falls."""
        super().on_validation_epoch_end()
        trainer, logged = self.trainer, self.trainer.callback_metrics
        fits = trainer.state.fn == "fit" and not trainer.sanity_checking
        if self.linear_epochs is None and fits and "val/loss" in logged:
            loss = float(logged["val/loss"])
            self._falls, self._lowest = loss < self._lowest, min(self._lowest, loss)
