"""Errors that a user can act on."""

import errno

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc", "_ALLOC_FAILED", "could not create a memory")
"""How PyTorch and what it computes with say it: its allocators, C++, cuBLAS and cuDNN, oneDNN."""

GO_ON_LATER = 75
"""Exit code of a training that a scheduler's signal stopped: its state is saved, further on than at its start."""

NO_FURTHER = 76
"""The same, but it had not taken a step since its start: to be started again, but not for ever."""


class UserError(Exception):
    """A mistake or a condition that the user can mend: one message, what to do next, and no traceback.

    Args:
        message: what is wrong, with the value, file or line that is at fault.
        hint: what to do next.
        code: the exit code of the process: 2 for what was asked (configuration, arguments, input that is missing),
            1 for what went wrong while doing it; of a training that was stopped, see above.

    Attributes:
        here: whether this process, of several of a run, is the one to say so; None where that is not settled.
    """

    here: bool | None = None

    def __init__(self, message: str, hint: str = "", *, code: int = 2) -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.code = code


class InterruptionError(UserError):
    """Somebody stopped the training; its state is saved."""


class StreamError(UserError):
    """The stream of training data broke off in the middle; all processes are told at the same step."""


class LostRankError(UserError):
    """Another process of the run is gone.

    Args:
        message: which, and why.
        hint: what to do next.
        here: whether this process is the one to say so; another does otherwise.
    """

    def __init__(self, message: str, hint: str, *, here: bool = True) -> None:
        super().__init__(message, hint, code=1)
        self.here = here


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the processor or of an accelerator."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):
        return any(sign in str(error) for sign in NO_MEMORY)
    # The second is what Python says of a function in C that got no memory and did not say so.
    return isinstance(error, MemoryError) or (isinstance(error, SystemError) and "without exception set" in str(error))
