"""Which of a model's parameters are recurrent, input, embedding and other matrices, and which are biases."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from seqtrain.layers.source_attention import SourceAttention
from seqtrain.layers.stepped import RecurrentLayer

GATES = {"RNN": ("h",), "GRU": ("r", "z", "n"), "LSTM": ("i", "f", "g", "o")}
"""The gates in the rows of `torch.nn`'s recurrent weights, in their order."""

NORMALISATIONS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)
LEFT = (*NORMALISATIONS, ParametrizationList)
"""What is in no group. Of a matrix that is made of others, as by weight normalisation, none of these stands alone."""

Named = list[tuple[str, Tensor]]
"""Names and parameters, or views of parts of them."""


@dataclass(frozen=True)
class Groups:
    """A model's parameters by what they do. None is in two groups; a matrix that is shared is there once.

    Attributes:
        recurrent: (H, H) views, gate by gate.
        inputs: (H, I) views of what recurrent layers multiply inputs by, gate by gate.
        embeddings: (V, E) matrices.
        padding: embeddings, and a row of each that stands for padding.
        attention: matrices and vectors that attention over a source is scored with.
        output: all other matrices and kernels, but for what else is inside of a `RecurrentLayer`: factors and scales
            that work only as it starts them.
        recurrent_biases: biases of modules that hold a recurrent matrix.
        biases: all other biases.
    """

    recurrent: Named
    inputs: Named = field(default_factory=list)
    embeddings: Named = field(default_factory=list)
    padding: list[tuple[Tensor, int]] = field(default_factory=list)
    attention: Named = field(default_factory=list)
    output: Named = field(default_factory=list)
    recurrent_biases: Named = field(default_factory=list)
    biases: Named = field(default_factory=list)


def groups(model: nn.Module) -> Groups:
    """Sorts the parameters of `model`.

    A model that has `recurrent_matrices()` tells which are recurrent; in any other, those of `torch.nn`'s recurrent
    modules are. Input matrices are those that a `RecurrentLayer` tells by `input_blocks()`, and `torch.nn`'s. A matrix
    that an embedding shares with another layer is the embedding's. Normalisation layers, parametrised matrices, and
    parameters that are not trained, are in no group but the recurrent one.
    """
    own: Any = model
    found = Groups(
        list(own.recurrent_matrices() if hasattr(model, "recurrent_matrices") else recurrent_matrices(model))
    )
    recurrent = _starts(found.recurrent)
    parameters, modules = list(model.parameters()), list(model.named_modules())
    taken = {id(p) for p in parameters if not p.requires_grad or _holds(p, recurrent)}
    _embeddings(modules, found, taken)
    _inputs(modules, parameters, found, taken)
    _attention(modules, found, taken)
    holders = {id(m) for _, m in modules if any(_holds(p, recurrent) for p in m.parameters(recurse=False))}
    _others(modules, found, taken, holders)
    return found


def _embeddings(modules: list[tuple[str, nn.Module]], found: Groups, taken: set[int]) -> None:
    own = set()
    for prefix, module in modules:
        if not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            continue
        weight = module.weight
        if id(weight) not in taken:
            found.embeddings.append((_join(prefix, "weight"), weight.detach()))
            own.add(id(weight))
            taken.add(id(weight))
        if module.padding_idx is not None and id(weight) in own:
            found.padding.append((weight.detach(), module.padding_idx))


def _inputs(
    modules: list[tuple[str, nn.Module]], parameters: list[nn.Parameter], found: Groups, taken: set[int]
) -> None:
    for prefix, module in modules:
        blocks = module.input_blocks() if isinstance(module, RecurrentLayer) else _blocks(module, "weight_ih")
        for name, view in blocks:
            if not any(_holds(p, {view.data_ptr()}) for p in parameters if id(p) in taken):
                found.inputs.append((_join(prefix, name), view))
    starts = _starts(found.inputs)
    taken.update(id(p) for p in parameters if _holds(p, starts))


def _attention(modules: list[tuple[str, nn.Module]], found: Groups, taken: set[int]) -> None:
    for prefix, module in modules:
        if isinstance(module, SourceAttention):
            named = [(name, p) for name, p in module.named_parameters() if id(p) not in taken]
            found.attention.extend((_join(prefix, name), p.detach()) for name, p in named)
            taken.update(id(p) for _, p in named)


def _others(modules: list[tuple[str, nn.Module]], found: Groups, taken: set[int], holders: set[int]) -> None:
    for prefix, module in modules:
        if isinstance(module, LEFT):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in taken:
                continue
            taken.add(id(parameter))
            named = _join(prefix, name), parameter.detach()
            if parameter.ndim > 1:
                if not isinstance(module, RecurrentLayer):
                    found.output.append(named)
            elif parameter.ndim == 1 and "bias" in name:
                (found.recurrent_biases if id(module) in holders else found.biases).append(named)


def recurrent_matrices(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and (H, H) view of every gate's recurrent matrix in `torch.nn`'s recurrent modules inside `model`."""
    for prefix, module in model.named_modules():
        for name, block in _blocks(module, "weight_hh"):
            yield _join(prefix, name), block


def forget_gate_biases(model: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name and two (H,) views a forget gate of `torch.nn`'s LSTMs inside `model`: the two biases that it adds."""
    for prefix, module in model.named_modules():
        others = dict(_blocks(module, "bias_hh"))
        for name, block in _blocks(module, "bias_ih"):
            if name.endswith("[f]"):
                yield _join(prefix, name), block, others[name.replace("bias_ih", "bias_hh")]


def _blocks(module: nn.Module, kind: str) -> Iterator[tuple[str, Tensor]]:
    """Of a recurrent module of `torch.nn`, and of it alone, the parameters of one kind, gate by gate."""
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        gates = next(gates for name, gates in GATES.items() if isinstance(module, _classes(name)))
        for name, parameter in module.named_parameters(recurse=False):
            if name.startswith(kind):
                for gate, block in zip(gates, parameter.detach().chunk(len(gates)), strict=True):
                    yield f"{name}[{gate}]", block


def _classes(kind: str) -> tuple[type, type]:
    return getattr(torch.nn, kind), getattr(torch.nn, f"{kind}Cell")


def _starts(named: Named) -> set[int]:
    return {view.data_ptr() for _, view in named}


def _holds(parameter: Tensor, starts: set[int]) -> bool:
    """Whether the parameter is what a view that starts at one of these addresses is a view of."""
    first = parameter.data_ptr()
    return any(first <= start < first + parameter.nbytes for start in starts)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
