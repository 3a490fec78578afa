"""The neural Turing machine (Graves, Wayne & Danihelka 2014, arXiv:1410.5401)."""

from typing import Any, Literal

from torch import Tensor

from seqtrain.config.types import NonNegative, Positive, PositiveFloat
from seqtrain.errors import UserError
from seqtrain.layers.ntm import NeuralTuringMachine
from seqtrain.models.base import SequenceModel
from seqtrain.tasks.bits import Bits, BitsBatch


class NTM(SequenceModel):
    """A controller with a memory that it reads and writes through heads.

    Args:
        task: what the network is built for.
        controller: what decides: a feed-forward layer, or an LSTM with a state of its own.
        hidden: width of the controller.
        slots: of the memory, N.
        width: numbers a slot, M in the paper.
        reads: read heads.
        writes: write heads.
        reach: the farthest shift, in slots; the paper's is 1.
        memory: the start of the memory: `constant`, all numbers 10⁻⁶; `learned`; or `random`, N(0, 1/width), which
            in evaluation is the same for all sequences.
        weighting: the start of the heads' weightings: `first`, all on the first slot; `learned`; or `uniform`.
        read: whether heads read the memory `after` it was written to, as in the paper's equation 2, or `before`.
        clamp: the largest absolute value of what the controller emits for the heads; `None` for none.
        compile: whether what the heads do is compiled by `torch.compile`, which takes a minute and a C++ compiler.
        options: `label_smoothing`, see `SequenceModel`.
    """

    tasks = ("bits",)
    compiles = True

    def __init__(
        self,
        *,
        task: Bits,
        controller: Literal["feedforward", "lstm"] = "feedforward",
        hidden: Positive = 100,
        slots: Positive = 128,
        width: Positive = 20,
        reads: Positive = 1,
        writes: Positive = 1,
        reach: NonNegative = 1,
        memory: Literal["constant", "learned", "random"] = "constant",
        weighting: Literal["first", "learned", "uniform"] = "first",
        read: Literal["after", "before"] = "after",
        clamp: PositiveFloat | None = 20.0,
        compile: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(task=task, **options)
        if 2 * reach + 1 > slots:
            raise UserError(
                f"model.reach={reach}: {slots} slots have no room for {2 * reach + 1} shifts",
                f"Set model.reach={(slots - 1) // 2} at most, or more slots.",
            )
        self.network = NeuralTuringMachine(
            inputs=task.inputs,
            outputs=task.outputs,
            controller=controller,
            hidden=hidden,
            slots=slots,
            width=width,
            reads=reads,
            writes=writes,
            reach=reach,
            memory=memory,
            weighting=weighting,
            read=read,
            clamp=clamp,
            compile=compile,
        )

    def training_step(self, batch: BitsBatch, batch_idx: int) -> Tensor:  # type: ignore[override]
        """See `SequenceModel`.

        Raises:
            UserError: a weighting is not finite, at which step, of which head.
        """
        try:
            return super().training_step(batch, batch_idx)
        except UserError as error:
            raise UserError(f"training step {self.global_step}: {error}", code=error.code) from None
