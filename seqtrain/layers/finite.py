"""What is not finite in a model, and that nothing of it is trained on or saved."""

from collections.abc import Callable

import torch
from torch import nn

from seqtrain.errors import UserError
from seqtrain.layers.sharding import whole


def first_gradient_not_finite(module: nn.Module) -> str | None:
    """The name of the first parameter whose gradient has a number that is not finite."""
    gradients = ((name, parameter.grad) for name, parameter in module.named_parameters())
    return next((name for name, grad in gradients if grad is not None and not whole(torch.isfinite(grad).all())), None)


def refuse_spoilt(module: nn.Module, step: int, *, anywhere: Callable[[bool], bool] = bool) -> None:
    """Ends the training of a model with a weight that is not finite: all that follows would not be either.

    Args:
        module: the model.
        step: optimizer steps that were taken.
        anywhere: whether something is so on any rank, where each asks; each rank may hold other weights.

    Raises:
        UserError: there is such a weight.
    """
    spoilt = [
        name for name, parameter in module.named_parameters() if not whole(torch.isfinite(parameter.detach()).all())
    ]
    if anywhere(bool(spoilt)):
        which = f"{spoilt[0]} and {len(spoilt) - 1} more" if len(spoilt) > 1 else (*spoilt, "on another rank")[0]
        raise UserError(
            f"after {step} steps weights are not finite: {which}; no checkpoint is made of them",
            "Try a smaller optimizer.lr or a longer warm-up. With callbacks.clipping, such a step is not taken, and "
            "callbacks.clipping.non_finite=stop says where it begins.",
            code=1,
        )
