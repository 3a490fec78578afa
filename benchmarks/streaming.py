"""Streamed sentence pairs against those that are kept: how fast batches come, and what memory that takes.

    python -m benchmarks.streaming [--small 100000] [--large 1000000] [--pool 20000] [--folder PATH]

Two corpora of generated captions are written, in ten shards each. Then a process of its own each reads as many pairs as
the smaller one has, and does nothing else: of both streamed with the pool, of the smaller one kept. Seconds are the
processor's; the tokenizer, which is learnt once, and the tokens that are kept are made before and not counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import machine
from seqtrain.data.captions import drawn

SHARDS = 10
MEASURE = """
import json, logging, resource, sys, time
from seqtrain.data.pairs import Pairs
asked = json.loads(sys.argv[1])
logging.disable(logging.WARNING)
data = Pairs(**asked["data"], seed=1)
data.setup("fit")
if not asked["pairs"]:
    sys.exit()
pairs = tokens = 0
begun = time.process_time()
for batch in data.train_dataloader():
    pairs += len(batch)
    tokens += int(batch.source_lengths.sum() + batch.target_lengths.sum())
    if pairs >= asked["pairs"]:
        break
seconds = time.process_time() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"pairs": pairs / seconds, "tokens": tokens / seconds, "mebibytes": peak}))
"""


def write(folder: Path, pairs: int) -> Path:
    """Captions in shards, and all of them in one file."""
    folder.mkdir(parents=True)
    lines = (f"{said['de']}\t{said['en']}\n" for said in drawn(split="train", size=pairs, seed=1))
    with (folder / "all.tsv").open("w") as whole:
        for shard in range(SHARDS):
            with (folder / f"shard-{shard}.tsv").open("w") as file:
                for _ in range(pairs * (shard + 1) // SHARDS - pairs * shard // SHARDS):
                    line = next(lines)
                    file.write(line)
                    whole.write(line)
    return folder


def measured(data: dict[str, object], pairs: int) -> dict[str, float]:
    """Pairs and tokens a second of the processor, and the most memory, of a process that reads so many pairs."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    asked = json.dumps({"data": data, "pairs": pairs})
    done = subprocess.run([sys.executable, "-c", MEASURE, asked], env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout) if pairs else {}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("small", 100_000), ("large", 1_000_000), ("pool", 20_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    print(machine(), "\n\n| pairs | | pairs/s | tokens/s | peak, MiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=asked.folder) as work:
        for pairs in (asked.small, asked.large):
            folder = write(Path(work) / str(pairs), pairs)
            common = {"cache": f"{work}/cache", "tokenizer_pairs": asked.small}
            kept = {**common, "train": str(folder / "all.tsv")}
            streamed = {**common, "train": f"{folder}/shard-*.tsv", "streaming": True, "pool": asked.pool}
            for name, data in (("streamed", streamed), ("kept", kept))[: 2 if pairs == asked.small else 1]:
                measured(data, 0)
                found = measured(data, asked.small)
                columns = [f"{pairs:,}", name, *(f"{found[key]:,.0f}" for key in ("pairs", "tokens", "mebibytes"))]
                print(f"| {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
