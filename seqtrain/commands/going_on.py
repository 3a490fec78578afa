"""What a training that is gone on with takes from its checkpoint, and what from what it is asked for now."""

from typing import Any

import pytorch_lightning as pl
from torch.optim.lr_scheduler import LambdaLR

from seqtrain.errors import UserError

KEY = "schedule"
"""Where a checkpoint has the kinds of optimizer and schedule, and the rates that the optimizer was given."""
SCHEDULED = {"params", "lr", "initial_lr"}
"""Of an optimizer's group, what is no setting of it, or is set by a schedule."""
AVERAGED = "swa_lr"
"""What Lightning's StochasticWeightAveraging adds to a group once it averages; rates are its own from then on."""
STATE_OF = ("amsgrad", "centered")
"""Settings that need something to be kept from the first step on."""
SHAPE = ("patience", "factor", "min_lrs", "threshold", "threshold_mode", "cooldown")
"""What decides, of a schedule that goes by a metric, how it goes on; its state has these too."""


class GoingOn(pl.Callback):
    """Has the optimizer and the schedule that are asked for now count, where PyTorch would go on with the former ones.

    What an optimizer keeps, and how far a schedule is, come from the checkpoint; learning rate, weight decay and the
    like, and the schedule's shape, from the configuration. Where that is the same, so is every number.

    Attributes:
        begun: whether the training has begun, and taken on its checkpoint if there is one.
    """

    def __init__(self) -> None:
        self.begun = False
        self._resumed = self._fresh = False
        self._rates: list[float] = []
        self._before: list[float] = []

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the next part of the training compares."""
        checkpoint[KEY] = {"kind": _kind(trainer), "rates": list(self._rates), "optimizers": _names(trainer)}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Changes what is about to be loaded.

        Raises:
            UserError: it is of another optimizer, or of a later epoch than the training is to have.
        """
        # By now a schedule may have multiplied what the optimizer was given.
        self._rates = [float(group.get("initial_lr", group["lr"])) for group in _groups(trainer.optimizers)]
        loaded: dict[str, Any] = trainer._checkpoint_connector._loaded_checkpoint
        self._resumed = bool(loaded)
        if not loaded:
            return
        _refuse_later(loaded, trainer)
        before = loaded.get(KEY, {})
        kept = [group for content in loaded["optimizer_states"] for group in content["param_groups"]]
        _refuse_others(trainer, kept, before.get("optimizers"))
        for own, other in zip(_groups(trainer.optimizers), kept, strict=True):
            other.update({name: own[name] for name in own.keys() - SCHEDULED})
        if any(AVERAGED in group for group in kept):
            self._resumed = False
            return
        self._before = before.get("rates", self._rates)
        self._fresh = before.get("kind", _kind(trainer)) != _kind(trainer)
        if self._fresh:
            loaded["lr_schedulers"] = []
        for config, state in zip(trainer.lr_scheduler_configs, loaded["lr_schedulers"], strict=False):
            if config.reduce_on_plateau:
                state.update({name: getattr(config.scheduler, name) for name in SHAPE})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the rates; those of the checkpoint have been loaded by now."""
        self.begun = True
        if not self._resumed:
            return
        self._resumed = False
        groups = _groups(trainer.optimizers)
        schedules = [config for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, LambdaLR)]
        for config in schedules:
            schedule: Any = config.scheduler
            if self._fresh:
                schedule.last_epoch = trainer.global_step if config.interval == "step" else trainer.current_epoch
            schedule.base_lrs = list(self._rates)
            for group, rate, factor in zip(groups, self._rates, schedule.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)
            schedule._last_lr = [group["lr"] for group in groups]
        if schedules:
            return
        lowered = bool(trainer.lr_scheduler_configs) and not self._fresh  # by a schedule that goes by a metric
        for group, rate, before in zip(groups, self._rates, self._before, strict=True):
            if not lowered:
                group["lr"] = rate
            elif rate != before:
                group["lr"] *= rate / before


def _groups(optimizers: list[Any]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def _names(trainer: pl.Trainer) -> list[str]:
    return [type(optimizer).__name__ for optimizer in trainer.optimizers]


def _kind(trainer: pl.Trainer) -> str:
    """What must be the same for the state of a schedule to mean the same."""
    return ", ".join(
        f"{type(found.scheduler).__name__} by {found.interval} {found.monitor} {getattr(found.scheduler, 'mode', None)}"
        for found in trainer.lr_scheduler_configs
    )


def _refuse_others(trainer: pl.Trainer, kept: list[dict[str, Any]], names: list[str] | None) -> None:
    """Refuses what an optimizer has kept that is of no use to the one that is asked for.

    Args:
        trainer: with its optimizers.
        kept: the groups of the checkpoint.
        names: the classes of its optimizers, if it has them.
    """
    own = _groups(trainer.optimizers)
    asked = _names(trainer)
    same = [name.rstrip("W") for name in names or asked] == [name.rstrip("W") for name in asked]  # Adam and AdamW
    known = SCHEDULED | {AVERAGED}
    if not same or any(other.keys() - group.keys() - known for group, other in zip(own, kept, strict=True)):
        raise UserError(
            f"the checkpoint is of a training with another optimizer: what it kept is of no use to {', '.join(asked)}",
            "Go on with the optimizer that the run was begun with: leave optimizer= out.",
        )
    for group, other in zip(own, kept, strict=True):
        # SGD begins to keep its momentum whenever it is told to.
        for name in (*STATE_OF, *(["momentum"] if "RMSprop" in asked else [])):
            if group.get(name) and not other.get(name):
                raise UserError(
                    f"optimizer.{name}={group[name]}: needs what the run's optimizer has not kept so far",
                    f"Go on with optimizer.{name}={other.get(name)}, or begin a run with it.",
                )


def _refuse_later(loaded: dict[str, Any], trainer: pl.Trainer) -> None:
    epoch = loaded["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if trainer.max_epochs is not None and -1 < trainer.max_epochs < epoch:
        raise UserError(
            f"trainer.max_epochs={trainer.max_epochs}: the run has had {epoch} epochs at its checkpoint",
            f"Set trainer.max_epochs={epoch + 1} or more, or go on from one before: resume=RUN/checkpoints/best.ckpt.",
        )
