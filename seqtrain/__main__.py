"""The command line. PyTorch is imported by the commands, once what is asked for has been found right."""

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import seqtrain
from seqtrain.config.names import did_you_mean
from seqtrain.config.overview import commands, help_text
from seqtrain.config.source import docstring
from seqtrain.errors import NO_SPACE, UserError, is_out_of_memory

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = ("-h", "--help", "help")
INTERRUPTED = 130


def main() -> int:
    """Runs what the arguments ask for and returns the exit code."""
    # This shares a process of W&B's, which may end before ours does, or be on the machine that a job was sent from.
    os.environ.pop("WANDB_SERVICE", None)
    try:
        code = _dispatch(sys.argv[1:])
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"seqtrain: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough of it, as `head` has. What Python still wants to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            print(
                f"seqtrain: out of memory ({error or 'MemoryError'})\n  Use less of it: a smaller model or batch.",
                file=sys.stderr,
            )
            return 1
        if not isinstance(error, OSError) or error.errno not in NO_SPACE:
            raise
        print(
            f"seqtrain: cannot write {error.filename or 'a file'}: {error.strerror}\n  Free some space.",
            file=sys.stderr,
        )
        return 1


def _dispatch(argv: list[str]) -> int:
    first = argv[0] if argv else ""
    if first == "--version":
        print(f"seqtrain {seqtrain.__version__}")
        return 0
    if first in HELP:
        print(help_text())
        return 0
    if not first or first.startswith("-") or "=" in first or first.startswith(("+", "~")):
        return _train(argv)
    return _command(first, argv[1:])


def _command(name: str, argv: list[str]) -> int:
    known = commands()
    if name == "train" or name not in known:
        if name != "train":
            raise UserError(f"{name}: no such command{did_you_mean(name, known)} Commands: {', '.join(known)}")
        return _train(argv)
    if any(word in HELP[:2] for word in argv):
        print(docstring(f"seqtrain.commands.{name}"))
        return 0
    code: int = importlib.import_module(f"seqtrain.commands.{name}").main(argv)
    return code


def _train(argv: list[str]) -> int:
    if any(word in HELP[:2] for word in argv):
        print(help_text())
        return 0
    from seqtrain.config.launch import launch

    return launch(argv, _run)


def _run(cfg: "DictConfig", settings: Any) -> None:
    from seqtrain.runs.lock import alone

    directory = Path(settings.runtime.output_dir)
    choices = {group: option for group, option in settings.runtime.choices.items() if "hydra" not in group}
    with alone(directory):
        from seqtrain.commands.train import run

        run(cfg, directory=directory, overrides=list(settings.overrides.task), choices=choices)


if __name__ == "__main__":
    sys.exit(main())
