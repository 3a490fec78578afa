"""How a trainer spreads a model over processes, where Lightning's own ways do not do."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.strategies import ModelParallelStrategy, Strategy
from torch import Tensor
from torch.optim import Optimizer

from seqtrain.layers.sharding import spread, whole


class FullySharded(ModelParallelStrategy):
    """FSDP2: parameters, gradients and what the optimizer keeps are spread over all processes.

    A checkpoint is one file of whole tensors, as any other strategy writes it: a model loads it on its own, and a
    training goes on from it with any strategy and any number of processes.

    Args:
        process_group_backend: by which processes talk; `None` is NCCL between GPUs, Gloo between processors.
    """

    def __init__(self, *, process_group_backend: str | None = None) -> None:
        super().__init__(
            tensor_parallel_size=1, save_distributed_checkpoint=False, process_group_backend=process_group_backend
        )

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Weights are there when callbacks begin, as with other strategies: the model is spread before that."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands over what the optimizer kept."""
        return True

    def setup_environment(self) -> None:
        """All processes share one copy of the model."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole weights, on the first process; what others say of theirs is not written."""
        assert self.lightning_module is not None
        return self._kept(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """What the optimizer keeps, whole, under parameters' numbers as always."""
        return self._kept(getattr(optimizer, "_optimizer", optimizer).state_dict())

    def _kept(self, content: dict[str, Any]) -> dict[str, Any]:
        """Whole tensors in main memory on the first process, nothing on others, one tensor after another."""
        found = _mapped(content, lambda value: whole(value).cpu() if self.is_global_zero else whole(value).new_empty(0))
        return found if self.is_global_zero else {}

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a whole checkpoint, on every process."""
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Takes this process's share of the weights."""
        module = self.lightning_module
        assert module is not None
        own = module.state_dict()
        given = checkpoint["state_dict"]
        fitting = {name: name in own and own[name].shape == value.shape for name, value in given.items()}
        spread_out = {name: spread(value, own[name]) if fitting[name] else value for name, value in given.items()}
        module.load_state_dict(spread_out, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Takes this process's share of what the optimizer kept."""
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            numbers = [number for group in content["param_groups"] for number in group["params"]]
            own = dict(zip(numbers, parameters, strict=True))
            state = {number: _shared(kept, own[number]) for number, kept in content["state"].items()}
            optimizer.load_state_dict({**content, "state": state})


def _shared(kept: Mapping[str, Any], parameter: Tensor) -> dict[str, Any]:
    """What is kept for a parameter: what has its shape is spread as it is."""
    same = {name: torch.is_tensor(value) and value.shape == parameter.shape for name, value in kept.items()}
    return {name: spread(value, parameter) if same[name] else value for name, value in kept.items()}


def _mapped(value: Any, change: Any) -> Any:
    if torch.is_tensor(value):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    return value
