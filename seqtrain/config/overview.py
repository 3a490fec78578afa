"""The text of `--help`: commands, models, data sets and the other groups, read from files without importing them."""

import ast
from pathlib import Path

from seqtrain.config.places import PACKAGE, groups, options
from seqtrain.config.source import docstring, module_tree

USAGE = """\
Train and compare sequence models.

  python -m seqtrain [KEY=VALUE ...]            train, then test the best checkpoint
  python -m seqtrain COMMAND [KEY=VALUE ...]    `seqtrain COMMAND ...` is the same
"""

EXAMPLES = """\
Examples:
  python -m seqtrain                                               the default, in minutes
  python -m seqtrain model=gru data=multi30k data.root=PATH        your copy of Multi30k
  python -m seqtrain optimizer.lr=5e-4 trainer.max_epochs=10 seed=3
  python -m seqtrain -m seed=1,2,3 optimizer=adam,sgd              six runs, one after another
  python -m seqtrain resume=RUN                                    go on with a run
  python -m seqtrain --cfg job                                     show the configuration and stop

RUN is the directory of a run: what hydra.run.dir=PATH sets, runs/... without it. Every constructor parameter of what is
chosen is a key: model.dropout=0.2, trainer.max_steps=1000. Hydra's own flags: --hydra-help.
"""

_FIRST = ("model", "data")


def commands() -> dict[str, str]:
    """The commands, each with the first line of its module's docstring."""
    found = {}
    for file in sorted(Path(PACKAGE, "commands").glob("[!_]*.py")):
        module = f"seqtrain.commands.{file.stem}"
        tree = module_tree(module)
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} if tree else set()
        if functions & {"main", "run"}:
            found[file.stem] = docstring(module).partition("\n")[0]
    return found


def help_text() -> str:
    """Everything that can be asked for, a line each."""
    parts = [USAGE, _table("Commands", commands())]
    titles = {"model": "Models (model=)", "data": "Data sets (data=)"}
    for group in sorted(groups(), key=lambda name: (name not in _FIRST, _FIRST.index(name) if name in _FIRST else 0)):
        parts.append(_table(titles.get(group, f"{group}="), options(group)))
    return "\n".join([*parts, EXAMPLES])


def _table(title: str, rows: dict[str, str]) -> str:
    width = max((len(name) for name in rows), default=0)
    return "\n".join([f"{title}:", *(f"  {name:<{width}}  {line}".rstrip() for name, line in rows.items()), ""])
