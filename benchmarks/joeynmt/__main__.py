"""Training and decoding speed side by side with JoeyNMT 2.3.0 (Kreutzer et al. 2019), on the same machine.

    python -m benchmarks.joeynmt PYTHON MODEL data.root=PATH [rounds=3] [steps=40] [OVERRIDE ...]
    python -m benchmarks.joeynmt PYTHON MODEL data.root=PATH epochs=N [rounds=3] [keep=DIR] [OVERRIDE ...]

MODEL is `gru` or `transformer_tiny`; overrides are of our side. PYTHON is that of an environment with the peer:

    python3 -m venv joeynmt
    joeynmt/bin/pip install torch==2.13.0
    joeynmt/bin/pip install --no-deps joeynmt==2.3.0
    joeynmt/bin/pip install numpy sacrebleu datasets sentencepiece subword-nmt matplotlib seaborn tensorboard pyyaml \\
        pandas protobuf setuptools packaging importlib_metadata typing_extensions

Both are given the same tokens: Multi30k English to German, lowercased, in our joint BPE of 8,000, 4,096 padded tokens a
batch. Sizes of the models are equal (`gru.yaml` and `transformer_tiny.yaml` are the peer's, `programs.py` has ours);
recipes are each program's own: ours makes batches of similar lengths, works in bfloat16 and has a learning rate that
ends at 0; the peer draws batches at random, works in float32 and keeps its rate. Threads are what OMP_NUM_THREADS says,
for both.

The first form trains `steps` updates with the one and then with the other, `rounds` times, each in a process of its
own. Both report target tokens a second, end of sentence counted and padding not, every 10 updates; the median from the
second report on is taken.

The second form trains both for N epochs, in DIR (if it holds them already, they are only used), and translates the test
set with the one and then with the other, `rounds` times (0: it only trains), with their last weights, greedily and with
a beam of 5. The peer's time is that of its search, as it reports it; ours is from text to text, the model loaded
before. BLEU is lowercased.
"""

import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.joeynmt import tokens
from benchmarks.joeynmt.programs import MODELS, JoeyNMT, Seqtrain
from benchmarks.timing import machine

OPTIONS = {"rounds": "3", "steps": "40", "epochs": "0", "keep": ""}


def training(peer: JoeyNMT, ours: Seqtrain, *, rounds: int, steps: int) -> None:
    """Prints target tokens a second of both, round by round."""
    ratios = []
    for number in range(1, rounds + 1):
        theirs, own = peer.rate(steps), ours.rate(steps)
        ratios.append(own / theirs)
        print(
            f"round {number}: JoeyNMT {theirs:.0f}, seqtrain {own:.0f} target tokens/s, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"training: median ratio {statistics.median(ratios):.2f}", flush=True)


def decoding(peer: JoeyNMT, ours: Seqtrain, *, rounds: int, epochs: int, overrides: list[str]) -> None:
    """Prints sentences a second and BLEU of both, round by round, greedily and with a beam."""
    data = tokens.corpus(overrides)
    ours.train(epochs)
    peer.train(epochs)
    count = len(data.sources("test"))
    for beam in (1, 5):
        ratios = []
        for number in range(1, rounds + 1):
            (theirs, peers), (own, mine) = peer.translate(beam, data), ours.translate(beam, data)
            ratios.append(theirs / own)
            print(
                f"beam {beam}, round {number}: JoeyNMT {count / theirs:.1f}, seqtrain {count / own:.1f} sentences/s, "
                f"ratio {ratios[-1]:.1f}; BLEU {tokens.bleu(data, peers):.2f} and {tokens.bleu(data, mine):.2f}",
                flush=True,
            )
        if ratios:
            print(f"beam {beam}: median ratio {statistics.median(ratios):.1f}", flush=True)


def main(arguments: list[str]) -> None:
    """Prints the ratios."""
    if len(arguments) < 2 or arguments[1] not in MODELS:
        raise SystemExit(__doc__)
    python, name, *rest = arguments
    given = [argument for argument in rest if argument.split("=")[0] in OPTIONS]
    options = OPTIONS | dict(argument.split("=", 1) for argument in given)
    overrides = [argument for argument in rest if argument not in given]
    rounds, epochs = int(options["rounds"]), int(options["epochs"])
    print(machine(), flush=True)
    with TemporaryDirectory() as temporary:
        work = Path(options["keep"] or temporary).resolve()
        tokens.write(tokens.corpus([o for o in overrides if o.startswith("data.")]), work / "data")
        peer = JoeyNMT(python, name, work / "data", work / name / "joeynmt")
        ours = Seqtrain(name, overrides, work / name / "seqtrain")
        if epochs:
            data_overrides = [o for o in overrides if o.startswith("data.")]
            decoding(peer, ours, rounds=rounds, epochs=epochs, overrides=data_overrides)
        else:
            training(peer, ours, rounds=rounds, steps=int(options["steps"]))


if __name__ == "__main__":
    main(sys.argv[1:])
