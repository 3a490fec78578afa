"""What the parameters of PyTorch's optimisers and Lightning's Trainer allow, where signatures do not say it."""

from typing import Annotated, Any, Literal

from seqtrain.config.types import NonNegative, NonNegativeFloat, Positive, PositiveFloat, Probability, Range, Share

AtLeastMinusOne = Annotated[int, Range(low=-1)]
"""A number of steps or epochs, where -1 stands for no end."""

OPTIMIZERS: dict[str, Any] = {
    "lr": PositiveFloat,
    "betas": tuple[Probability, Probability],
    "eps": NonNegativeFloat,
    "weight_decay": NonNegativeFloat,
    "momentum": NonNegativeFloat,
    "dampening": NonNegativeFloat,
    "momentum_decay": NonNegativeFloat,
    "lr_decay": NonNegativeFloat,
    "initial_accumulator_value": NonNegativeFloat,
    "rho": Share,
    "alpha": Share,
}

TRAINER: dict[str, Any] = {
    "accelerator": str,
    "strategy": str,
    "devices": Annotated[int, Range(low=-1)] | str | list[int],
    "num_nodes": Positive,
    "precision": Literal[
        "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64", 32, 16, 64
    ]
    | None,
    "fast_dev_run": bool | NonNegative,
    "max_epochs": AtLeastMinusOne | None,
    "min_epochs": NonNegative | None,
    "max_steps": AtLeastMinusOne,
    "max_time": str | dict[str, int] | None,
    "min_steps": NonNegative | None,
    "limit_train_batches": NonNegative | Share | None,
    "limit_val_batches": NonNegative | Share | None,
    "limit_test_batches": NonNegative | Share | None,
    "limit_predict_batches": NonNegative | Share | None,
    "overfit_batches": NonNegative | Share,
    "val_check_interval": Positive | Share | str | dict[str, float] | None,
    "check_val_every_n_epoch": Positive | None,
    "num_sanity_val_steps": AtLeastMinusOne | None,
    "log_every_n_steps": NonNegative | None,
    "accumulate_grad_batches": Positive,
    "gradient_clip_val": NonNegativeFloat | None,
    "gradient_clip_algorithm": Literal["norm", "value"] | None,
    "reload_dataloaders_every_n_epochs": NonNegative,
}


def known_types(target: str) -> dict[str, Any]:
    """Parameter name to type, for classes whose own annotations say too little."""
    if target.startswith("torch.optim."):
        return OPTIMIZERS
    return TRAINER if target == "pytorch_lightning.Trainer" else {}
