"""Errors that a user can act on."""


class UserError(Exception):
    """A mistake or a condition that the user can mend: one message, what to do next, and no traceback.

    Args:
        message: what is wrong, with the value, file or line that is at fault.
        hint: what to do next.
        code: the exit code of the process: 2 for what was asked (configuration, arguments, input that is missing),
            1 for what went wrong while doing it.
    """

    def __init__(self, message: str, hint: str = "", *, code: int = 2) -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.code = code


class InterruptionError(UserError):
    """Somebody stopped the training; its state is saved."""
