"""A network whose parameters are spread over processes (FSDP2: Zhao 2023, arXiv:2304.11277; `fully_shard`)."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor


class Sharded:
    """A network that is trained in parts: of every parameter a process holds a share of the rows.

    Each block is put together when it is computed and let go behind it; what is in no block is one more part, which
    stays together from the forward to the backward pass, so that an embedding can be the output layer's matrix too.

    For everything but training there is a whole copy of the network: processes decode unlike numbers of sentences and
    steps, and could not put blocks together at the same time.

    Args:
        network: all of whose parameters are the same on every process; spread in place.
        blocks: modules of it.
        methods: its methods beside `forward` that training calls.
        mesh: the processes.
    """

    def __init__(
        self, network: nn.Module, *, blocks: Iterable[nn.Module], methods: Iterable[str], mesh: DeviceMesh
    ) -> None:
        self.network = network
        self._whole = copy.deepcopy(network).to("meta")
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
        for method in methods:
            if hasattr(network, method):
                register_fsdp_forward_method(network, method)
        # Nothing changes in place what the network returns.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")

    @torch.no_grad()
    def whole(self) -> nn.Module:
        """A copy with whole parameters; to be called on every process at the same time."""
        values = whole_values(dict(self.network.named_parameters()))
        same = {id(own): values[name] for name, own in self.network.named_parameters()}
        for name, own in self.network.named_parameters(remove_duplicate=False):
            module, leaf = _place(self._whole, name)
            module._parameters[leaf] = nn.Parameter(same[id(own)], requires_grad=False)
        for name, buffer in self.network.named_buffers():
            module, leaf = _place(self._whole, name)
            module._buffers[leaf] = buffer
        return self._whole.train(self.network.training)

    def release(self) -> nn.Module:
        """Lets the memory of the copy go; returns the network that is trained."""
        self._whole.to("meta")
        return self.network


def whole(value: Any) -> Any:
    """A tensor as a whole, wherever its parts are: on every process at the same time. Anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def whole_values(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same of several."""
    return {name: whole(value.detach()) for name, value in values.items()}


def parts(values: Iterable[Tensor]) -> list[Tensor]:
    """What this process has of each, to be changed in place, number by number."""
    return [value.to_local() if isinstance(value, DTensor) else value for value in values]


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor that every process has, spread as another one is; as it is, where that one is whole."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value
    placed = value.to(device=like.device, dtype=like.dtype)
    return distribute_tensor(placed, like.device_mesh, like.placements, src_data_rank=None)


def _place(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf
