"""What the parameters of PyTorch's optimisers and Lightning's Trainer allow, where signatures do not say it."""

from typing import Annotated, Any, Literal

from seqtrain.config.types import (
    NonNegative,
    NonNegativeFloat,
    Pattern,
    Positive,
    PositiveFloat,
    Probability,
    Range,
    Share,
)

AtLeastMinusOne = Annotated[int, Range(low=-1)]
"""A number of steps or epochs, where -1 stands for no end."""

Part = Annotated[float, Range(above=0.0, high=1.0)]
"""A share of an epoch's batches that is more than none of them."""

Duration = (
    Annotated[str, Pattern(r"\s*\d+:\d\d:\d\d:\d\d\s*", "a time as DD:HH:MM:SS")]
    | dict[Literal["weeks", "days", "hours", "minutes", "seconds"], float]
)

Strategy = Literal[
    "auto",
    "ddp",
    "ddp_find_unused_parameters_false",
    "ddp_find_unused_parameters_true",
    "ddp_spawn",
    "ddp_spawn_find_unused_parameters_false",
    "ddp_spawn_find_unused_parameters_true",
    "ddp_fork",
    "ddp_fork_find_unused_parameters_false",
    "ddp_fork_find_unused_parameters_true",
    "ddp_notebook",
    "ddp_notebook_find_unused_parameters_false",
    "ddp_notebook_find_unused_parameters_true",
    "fsdp",
    "fsdp_cpu_offload",
    "deepspeed",
    "deepspeed_stage_1",
    "deepspeed_stage_2",
    "deepspeed_stage_2_offload",
    "deepspeed_stage_3",
    "deepspeed_stage_3_offload",
    "deepspeed_stage_3_offload_nvme",
    "single_device",
    "single_tpu",
    "single_xla",
    "xla",
    "xla_debug",
]
"""The names that Lightning registers its strategies by."""

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
    "accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps"],
    "strategy": Strategy,
    "devices": Literal["auto", -1]
    | Positive
    | list[NonNegative]
    | Annotated[str, Pattern(r"-1|[1-9]\d*|\d+,|\d+( *, *\d+)+,?", "a text of numbers with commas, as '0,1'")],
    "num_nodes": Positive,
    "precision": Literal[
        "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "32", "bf16", "16", "64", 32, 16, 64
    ]
    | None,
    "fast_dev_run": bool | NonNegative,
    "max_epochs": AtLeastMinusOne | None,
    "min_epochs": NonNegative | None,
    "max_steps": AtLeastMinusOne,
    "max_time": Duration | None,
    "min_steps": NonNegative | None,
    "limit_train_batches": Positive | Part | None,
    "limit_val_batches": NonNegative | Share | None,
    "limit_test_batches": NonNegative | Share | None,
    "limit_predict_batches": NonNegative | Share | None,
    "overfit_batches": NonNegative | Share,
    "val_check_interval": Positive | Part | Duration | None,
    "check_val_every_n_epoch": Positive | None,
    "num_sanity_val_steps": AtLeastMinusOne | None,
    "log_every_n_steps": NonNegative | None,
    "accumulate_grad_batches": Positive,
    "gradient_clip_val": NonNegativeFloat | None,
    "gradient_clip_algorithm": Literal["norm", "value"] | None,
    "reload_dataloaders_every_n_epochs": NonNegative,
    "profiler": Literal["simple", "advanced", "pytorch"] | None,
    "deterministic": bool | Literal["warn"] | None,
}


def known_types(target: str) -> dict[str, Any]:
    """Parameter name to type, for classes whose own annotations say too little."""
    if target.startswith("torch.optim."):
        return OPTIMIZERS
    return TRAINER if target == "pytorch_lightning.Trainer" else {}
