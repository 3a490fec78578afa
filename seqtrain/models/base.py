"""What every architecture is: a LightningModule that trains, evaluates and decodes any network of its task."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from seqtrain.config.types import Probability
from seqtrain.decoding.positions import longest
from seqtrain.decoding.search import search
from seqtrain.decoding.settings import Decoding, Hypothesis
from seqtrain.errors import UserError
from seqtrain.layers.finite import refuse_spoilt
from seqtrain.layers.sharding import Sharded
from seqtrain.models.weighing import Weighing
from seqtrain.tasks.base import Batch, Goal, Measures, Task
from seqtrain.tasks.translation import BOS, EOS, PAD, UNK, TranslationBatch

OptimizerFactory = Callable[[Any], torch.optim.Optimizer]
"""Parameters to an optimiser of them."""


@dataclass(frozen=True)
class AtHand:
    """What a model computes, or did last.

    Attributes:
        batch: what it was given.
        stage: the split that it is of: train, val or test; "" for one that is of none.
        decoding: how it is decoded, if it is.
    """

    batch: Batch
    stage: str = ""
    decoding: Decoding | None = None


class SequenceModel(pl.LightningModule):
    """The common base of all architectures: a subclass builds `self.network` for its task.

    Args:
        task: what the network is built for.
        label_smoothing: share of the target distribution spread evenly over the classes in training
            (Szegedy 2016); `nll`, `perplexity` and every metric are without it.
        compile: whether the network's blocks are compiled by `torch.compile`, at the first steps of a training.
    """

    tasks: ClassVar[tuple[str, ...]]
    """The names of the tasks that the architecture can do."""
    blocks: ClassVar[tuple[str, ...]] = ()
    """Where the network has its stacks of blocks, which `trainer=fsdp` spreads over processes one by one; a model that
    has none cannot be trained so.
    """

    compiles: ClassVar[bool] = False
    """Whether there is anything that `compile` compiles."""

    network: nn.Module

    def __init__(self, *, task: Task, label_smoothing: Probability = 0.0, compile: bool = False) -> None:
        super().__init__()
        self.task = task
        self.label_smoothing = label_smoothing
        self._compile = compile
        self._make_optimizer: OptimizerFactory = torch.optim.Adam
        self._scheduler: Any = None
        self._criterion: tuple[str, Goal] | None = None
        self._sums: dict[str, Tensor] = {}
        self._states: dict[str, Tensor | None] = {}
        self._weighing = Weighing()
        self._sharded: Sharded | None = None
        self.at_hand: AtHand | None = None

    def optimize_with(
        self, optimizer: OptimizerFactory, scheduler: Any = None, *, criterion: tuple[str, Goal] | None = None
    ) -> None:
        """Sets what `configure_optimizers` makes: an optimiser, and a schedule of `seqtrain.optim`.

        Args:
            optimizer: parameters to an optimiser of them.
            scheduler: the learning rate stays as it is without one.
            criterion: the validation metric that a schedule goes by, and whether more or less of it is better; the
                task's without it.
        """
        self._make_optimizer = optimizer
        self._scheduler = scheduler
        self._criterion = criterion

    def configure_model(self) -> None:
        """Compiles blocks for a training, and spreads the network over the processes, as far as that is asked for."""
        stacks = [stack for name, stack in self.network.named_modules() if name in self.blocks]
        blocks = [block for stack in stacks for block in stack.children()]
        if self._compile and self.trainer.state.fn == "fit":
            for block in blocks:
                block.compile(dynamic=True)  # in place: names in the state dict stay
            self._compile = False
        if self.device_mesh is not None and self._sharded is None:
            mesh = self.device_mesh["data_parallel"]
            self._sharded = Sharded(self.network, blocks=blocks, methods=("teach",), mesh=mesh)

    def configure_optimizers(self) -> Any:
        """The optimiser over all parameters and, where there is a schedule, Lightning's description of it."""
        optimizer = self._make_optimizer(self.parameters())
        configured: dict[str, Any] = {"optimizer": optimizer}
        if self._scheduler is not None:
            monitor, goal = self._criterion or (self.task.monitor, self.task.goal)
            steps = self.trainer.estimated_stepping_batches
            schedule = self._scheduler.lightning(optimizer, monitor=monitor, goal=goal, steps=steps)
            if schedule is not None and "monitor" in schedule:  # there is a new value only after a validation
                schedule["frequency"] = self.trainer.check_val_every_n_epoch or 1
            if schedule is not None:
                configured["lr_scheduler"] = schedule
        return configured

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads a checkpoint's weights.

        Raises:
            UserError: they are those of another model, or of another vocabulary.
        """
        own = self.state_dict()
        wrong = [
            f"{name} is {_size(state_dict.get(name))} in it and {_size(own.get(name))} here"
            for name in sorted(own.keys() | state_dict.keys())
            if _size(state_dict.get(name)) != _size(own.get(name))
        ]
        if strict and wrong:
            raise UserError(
                f"the checkpoint does not fit the model: {wrong[0]} ({len(wrong)} differences)",
                "Build the model as it was trained: the same model options, and the tokenizer of that run.",
            )
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def measure(self, batch: Batch, *, smoothing: float = 0.0) -> Measures:
        """Loss and sums of one batch."""
        return self.task.measure(self.network, batch, smoothing=smoothing)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch; every few steps, logs it with the task's metrics, in which nothing is smoothed.

        The loss of an epoch's last batch is there in any case. Lightning's `log` is a good part of a small network's
        step.
        """
        measures = self._go_on(batch, "train", smoothing=self.label_smoothing)
        count = measures.sums.get("known", measures.sums["count"])  # what the loss is a mean over
        logs = self.trainer._logger_connector.should_update_logs
        if logs or self.trainer.is_last_batch:
            mean = self._mean(measures.loss.detach(), count)
            self.log("train/loss", mean, prog_bar=True, batch_size=len(batch))
        if logs:
            if not math.isfinite(mean):  # on every rank, as all have to look
                refuse_spoilt(self, self.trainer.global_step)
            metrics = self.task.metrics(self._summed(measures.sums))
            logged = {f"train/{name}": value for name, value in metrics.items() if name != "loss"}
            self.log_dict(logged, batch_size=len(batch))
        return measures.loss * self._weight(count)

    def _weight(self, count: Tensor) -> Tensor | float:
        """What a batch's mean loss is multiplied by, so that the step follows the mean over the global batch."""
        return self._weighing.weigh(self.trainer, count)

    def on_train_epoch_start(self) -> None:
        """Begins to add up gradients anew."""
        self._weighing.begin()

    def on_after_backward(self) -> None:
        """Makes gradients that were added up those of one large batch."""
        self._weighing.complete(self.trainer, [p.grad for p in self.parameters() if p.grad is not None])

    def _mean(self, mean: Tensor, count: Tensor) -> Tensor:
        """The mean over all ranks of what is a mean over `count` on each."""
        if self.trainer.world_size == 1:
            return mean
        total, number = self.trainer.strategy.reduce(torch.stack([mean * count, count]), reduce_op="sum")
        return total / number.clamp(min=1)

    def _summed(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Sums over all ranks, in one exchange."""
        together = torch.stack([torch.as_tensor(value, device=self.device).double() for value in sums.values()])
        if self.trainer.world_size > 1:
            together = self.trainer.strategy.reduce(together, reduce_op="sum")
        return dict(zip(sums, together.tolist(), strict=True))

    def _go_on(self, batch: Batch, stage: str, *, smoothing: float = 0.0) -> Measures:
        """Loss and sums of a batch that may go on where the one before of its stage ended."""
        self.at_hand = AtHand(batch, stage)
        before = None
        if getattr(batch, "carried", False):
            state = self._states.get(stage)  # on the CPU still, where a checkpoint was loaded before the model moved
            before = None if state is None else state.to(self.device)
            setattr(batch, "state", before)  # noqa: B010
        measures = self.measure(batch, smoothing=smoothing)
        self._states[stage] = measures.state if getattr(batch, "goes_on", False) else None
        self._states[f"before {stage}"] = before
        return measures

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the state, of every rank, that the first batch goes on with that has not been trained on."""
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        # A step that is interrupted is taken again, from the state that it began in.
        state = self._states.get("before train" if progress.started > progress.processed else "train")
        if state is not None:
            states = self.trainer.strategy.all_gather(state) if self.trainer.world_size > 1 else state.unsqueeze(0)
            checkpoint["carried"] = states.detach().cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes this rank's share of that state."""
        states = checkpoint.get("carried")
        if states is not None and self._trainer is not None and len(states) == self.trainer.world_size:
            self._states["train"] = states[self.trainer.global_rank].to(self.device)

    def on_validation_epoch_start(self) -> None:
        """Starts the sums anew; a network that is spread is put together."""
        self._sums = {}
        if self._sharded is not None:
            self.network = self._sharded.whole()

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Adds a batch to the sums; returns the metrics of every example, (B,) tensors."""
        stage = "val" if self.trainer.state.fn == "fit" or self.trainer.validating else "test"
        measures = self._go_on(batch, stage)
        for name, value in measures.sums.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device, dtype=torch.float64)) + value
        return measures.each

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of everything that was summed, over all ranks, and what they are to be seen beside."""
        self._log_sums("val")

    def on_test_epoch_end(self) -> None:
        """Logs the metrics of everything that was summed, over all ranks, and what they are to be seen beside."""
        self._log_sums("test")

    def _log_sums(self, stage: str) -> None:
        if self._sharded is not None:
            self.network = self._sharded.release()
        if not self._sums:  # not one batch was asked for: `limit_val_batches=0`, say
            return
        data: Any = getattr(self.trainer, "datamodule", None)
        beside = data.baselines(stage) if hasattr(data, "baselines") else {}
        metrics = {**self.task.metrics(self._summed(self._sums)), **beside}
        # Every rank has the same numbers. Lightning asks for a reduction, and a mean could round them.
        self.log_dict({f"{stage}/{name}": value for name, value in metrics.items()}, sync_dist=True, reduce_fx="max")

    @torch.no_grad()
    def translate(self, batch: TranslationBatch, decoding: Decoding) -> list[list[Hypothesis]]:
        """The n best hypotheses of every source sentence of a batch, best first; or its samples.

        None is longer than the network has positions for. On a processor everything is computed in 32 bits: rows get
        fewer as sentences end, and bfloat16 products are prepared anew for every number of rows.
        """
        network: Any = self.network
        stage = self.at_hand.stage if self.at_hand is not None and self.at_hand.batch is batch else ""
        self.at_hand = AtHand(batch, stage, decoding)
        with torch.autocast("cpu", enabled=False):
            memory = network.encode(batch.source, batch.source_lengths)
            return search(
                network.decoder,
                memory,
                sentences=len(batch),
                device=batch.source.device,
                settings=replace(decoding, max_length=longest(decoding, network)),
                bos=BOS,
                eos=EOS,
                never=[PAD, BOS, UNK],
                numbers=batch.index,
            )

    def recurrent_matrices(self) -> Iterator[tuple[str, Tensor]]:
        """Every recurrent matrix, gate by gate, as a named (H, H) view of the parameters."""
        blocks = getattr(self.network, "recurrent_blocks", None)
        if blocks is not None:
            yield from blocks()

    def forget_gate_biases(self) -> Iterator[tuple[str, Tensor]]:
        """Every forget gate's bias as a named (H,) view."""
        biases = getattr(self.network, "forget_biases", None)
        if biases is not None:
            yield from biases()


def _size(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "×".join(map(str, tensor.shape)) or "a number"
