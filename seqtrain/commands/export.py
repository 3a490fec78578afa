"""Write the weights of a trained run as one safetensors file, for use elsewhere.

  python -m seqtrain export run=RUN [checkpoint=best] [out=FILE]

  run=RUN                       the run's directory, as training printed it; needed
  checkpoint=best|last|averaged|PATH
                                which weights; best without it
  out=FILE                      where they go; RUN/weights.safetensors without it

Tensors have the names of the model's parameters; those that layers share are written once. The file's metadata says,
as text, what they are of: `model` and `task` (JSON: the model's configuration, and the sizes that it was built for),
`tied` (JSON: further names of shared tensors), `step`, `checkpoint`, `commit`, `tokenizer_hash`.
"""

import logging
from pathlib import Path

from seqtrain.commands.summary import shown
from seqtrain.config.allow import to_plain
from seqtrain.config.arguments import split, take
from seqtrain.config.names import did_you_mean
from seqtrain.errors import UserError
from seqtrain.runs.chosen import choose
from seqtrain.runs.files import check_writable

KEYS = ("run", "checkpoint", "out")


def main(argv: list[str]) -> int:
    """Writes the file, and says what is in it."""
    logging.basicConfig(level=logging.WARNING, format="seqtrain: %(message)s")
    overrides, _ = split(argv, {})
    for override in overrides:
        key = override.partition("=")[0]
        if key not in KEYS:
            raise UserError(f"{override}: no such key{did_you_mean(key, KEYS)} Keys: {', '.join(KEYS)}")
    out, overrides = take(overrides, "out")
    chosen = choose(overrides, options=("out",))
    if chosen.others:
        raise UserError("an ensemble has no weights of its own", "Export one run, and one checkpoint of it, at a time.")
    target = Path(out) if out else chosen.run.directory / "weights.safetensors"
    check_writable(target)
    # What takes seconds to import comes after all that could have been wrong with the arguments.
    from seqtrain.runs.exported import write_weights
    from seqtrain.runs.loading import load

    loaded = load(chosen)
    manifest = chosen.run.manifest
    number = write_weights(
        target,
        loaded.model,
        to_plain(chosen.config.model),
        step=str(loaded.step),
        checkpoint=loaded.checkpoint.name,
        commit=(manifest.get("git") or {}).get("commit"),
        tokenizer_hash=manifest.get("tokenizer_hash"),
    )
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    print(f"{shown(target.resolve())}: {number} tensors, {parameters:,} parameters, after {loaded.step} steps")
    return 0
