"""Runs JoeyNMT 2.3.0 on a torch that no longer takes the `verbose` argument it gives to a scheduler.

Started by the Python of its environment: `launch.py train CONFIG`.
"""

import runpy
from typing import Any

from torch.optim import lr_scheduler


class ReduceLROnPlateau(lr_scheduler.ReduceLROnPlateau):
    """torch's, without `verbose`."""

    def __init__(self, *args: Any, verbose: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


if __name__ == "__main__":
    lr_scheduler.ReduceLROnPlateau = ReduceLROnPlateau  # type: ignore[misc]
    runpy.run_module("joeynmt", run_name="__main__")
