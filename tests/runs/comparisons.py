"""A comparison as `seqtrain.runs.page` takes it: made up, but with the shapes of real ones."""

import math
import random
from typing import Any

BLEU = {"attention": 39.8, "transformer": 41.0, "conv": 40.8, "gru": 29.6, "seq2seq": 27.7}
PARAMETERS = {
    "attention": 13_100_288,
    "transformer": 9_207_296,
    "conv": 11_463_424,
    "gru": 7_829_312,
    "seq2seq": 8_354_112,
}
LENGTHS = [[4, 7], [8, 9], [10, 11], [12, 13], [14, 16], [17, 20], [21, 31]]


def translation() -> dict[str, Any]:
    """Five translators with three seeds each, of which one run failed and one diverged at first."""
    numbers = random.Random(1)
    runs = [_run(label, seed, numbers) for label in BLEU for seed in (1, 2, 3)]
    runs[-1] |= {"status": "failed", "results": {}, "seconds": None, "per_second": None}
    return {
        "title": "Translators on Multi30k, German to English",
        "made": "2026-11-23T03:00:00+00:00",
        "command": "python -m seqtrain compare 'multirun/multi30k/*' by=model metric=test/bleu",
        "by": ["model"],
        "goal": "max",
        "unit": "tokens",
        "metrics": ["test/bleu", "test/nll"],
        "groups": [_group(label, [run for run in runs if run["group"] == label]) for label in BLEU],
        "runs": runs,
        "baselines": {"copying the source": 5.12},
        "curves": [
            {"metric": "val/bleu", "x": "step", "lines": [_curve(label, numbers) for label in BLEU]},
            {"metric": "train/nll", "x": "step", "lines": [_losses(label, numbers) for label in BLEU]},
        ],
        "buckets": [_buckets(numbers)],
        "parts": [_parts(numbers)],
        "significance": _significance(),
        "notes": [
            "seq2seq-3: failed: CUDA out of memory; not counted",
            "the runs were made with different code: 768c1a162f0e, bb264dbc0a11",
        ],
        "made_with": "commit 768c1a162f0e; torch 2.13.0; data multi30k 3f2a91; on Xeon Gold 6248, 2 cores, NVIDIA H100",
    }


def many_runs(number: int) -> dict[str, Any]:
    """The same with so many runs."""
    numbers = random.Random(2)
    labels = list(BLEU)
    return translation() | {"runs": [_run(numbers.choice(labels), seed, numbers) for seed in range(number)]}


def hostile(text: str) -> dict[str, Any]:
    """The same with a text wherever somebody who logged a run can put one."""
    made = translation()
    other = made["groups"][1]["label"]
    made |= {"title": text, "command": text, "made_with": text, "notes": [text], "metrics": ["test/bleu", text]}
    made["by"] = [text]
    made["baselines"] = {text: 5.0}
    made["groups"][0] |= {"label": text, "differs": {text: [text]}}
    made["groups"][0]["results"][text] = made["groups"][0]["results"]["test/nll"]
    made["runs"][0] |= {"name": text, "group": text, "status": text, "source": text, "started": text}
    made["runs"][0]["results"][text] = 1.0
    for curve in made["curves"]:
        curve |= {"metric": text, "x": text}
        curve["lines"][0]["group"] = text
    made["buckets"][0] |= {"attribute": text, "metric": text}
    made["buckets"][0]["rows"][0]["group"] = text
    made["parts"][0] |= {"name": text, "metric": text}
    made["parts"][0]["columns"][0]["label"] = text
    scores = {text: {"score": 1.0, "mean": 1.0, "ci": 0.1, "p": 0.5}}
    rows = [{"system": text, "scores": scores}]
    made["significance"] = {
        "test": text,
        "split": text,
        "baseline": other,
        "signatures": {text: text},
        "rows": rows,
    }
    return made


def nothing() -> dict[str, Any]:
    """As little as a comparison can hold."""
    lists: dict[str, Any] = {
        name: [] for name in ("by", "metrics", "groups", "runs", "curves", "buckets", "parts", "notes")
    }
    texts = {
        "title": "Nothing",
        "made": "2026-11-23T03:00:00+00:00",
        "command": "",
        "goal": "min",
        "unit": "",
        "made_with": "",
    }
    return {**lists, **texts, "baselines": {}, "significance": None}


def _run(label: str, seed: int, numbers: random.Random) -> dict[str, Any]:
    bleu = BLEU[label] + numbers.gauss(0, 0.4)
    return {
        "name": f"{label}-{seed}",
        "source": f"multirun/multi30k/{label}-{seed}",
        "group": label,
        "status": "finished",
        "seed": seed,
        "parameters": PARAMETERS[label],
        "seconds": round(numbers.uniform(900, 5000), 1),
        "per_second": round(numbers.uniform(2000, 9000), 1),
        "started": f"2026-11-{numbers.randint(10, 22)}T{numbers.randint(0, 23):02}:12:40+00:00",
        "results": {"test/bleu": round(bleu, 2), "test/nll": round(3.1 - bleu / 25, 4)},
    }


def _group(label: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    done = [run for run in runs if run["results"]]
    results = {}
    for metric, better in (("test/bleu", max), ("test/nll", min)):
        values = [run["results"][metric] for run in done]
        mean = math.fsum(values) / len(values)
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        results[metric] = {"mean": mean, "sd": sd, "n": len(values), "best": better(values)}
    return {
        "label": label,
        "seeds": [run["seed"] for run in runs],
        "complete": len(done),
        "runs": len(runs),
        "parameters": [PARAMETERS[label]],
        "per_second": math.fsum(run["per_second"] for run in done) / len(done),
        "seconds": math.fsum(run["seconds"] for run in done) / len(done),
        "results": results,
        "differs": {
            "model": [label],
            "optimizer.lr": ["0.0005" if label == "transformer" else "0.001"],
            "model.hidden": ["256"] if label in ("gru", "seq2seq", "attention") else [],
            "trainer.max_epochs": ["20", "30"] if label == "conv" else ["30"],
        },
    }


def _curve(label: str, numbers: random.Random) -> dict[str, Any]:
    """BLEU that rises to its end, after every epoch."""
    points = []
    for epoch in range(1, 31):
        spread = 1.5 * math.exp(-epoch / 8) + 0.25
        mean = BLEU[label] * (1 - math.exp(-epoch / 5)) + numbers.gauss(0, 0.2)
        points.append([907 * epoch, mean, spread, 3])
    if label == "seq2seq":
        points[0] = [907, "NaN", 0.0, 1]
    return {"group": label, "points": points}


def _losses(label: str, numbers: random.Random) -> dict[str, Any]:
    """A loss over three powers of ten."""
    speed = 1500 + 60 * (42 - BLEU[label])
    points = []
    for step in range(100, 27_300, 100):
        mean = 9.1 * math.exp(-step / speed) + 0.004 + 0.002 * numbers.random()
        points.append([step, mean, mean * 0.12, 3])
    return {"group": label, "points": points}


def _buckets(numbers: random.Random) -> dict[str, Any]:
    rows = []
    for label, bleu in BLEU.items():
        fall = 2.2 if label in ("gru", "seq2seq") else 0.5
        values = [[bleu + 3 - fall * place + numbers.gauss(0, 0.5), 0.6, 3] for place in range(len(LENGTHS))]
        rows.append({"group": label, "values": [*values[:-1], None if label == "seq2seq" else values[-1]]})
    return {"attribute": "length", "metric": "bleu", "buckets": LENGTHS, "rows": rows}


def _parts(numbers: random.Random) -> dict[str, Any]:
    """Errors of two memory networks on the twenty tasks of bAbI, and what others report."""
    columns = []
    for label, missing in (("memn2n", None), ("entnet", 2), ("published", None)):
        values = [round(max(0.0, numbers.gauss(1, 6)), 1) for _ in range(20)]
        shown = [None if place == missing else value for place, value in enumerate(values)]
        known = [value for value in shown if value is not None]
        mean, failed = (math.fsum(known) / 20, sum(value > 5 for value in known)) if missing is None else (None, None)
        columns.append({"label": label, "values": shown, "mean": mean, "failed": failed})
    return {"name": "task", "metric": "test/error", "parts": list(range(1, 21)), "columns": columns, "limit": 5.0}


def _significance() -> dict[str, Any]:
    def scores(bleu: float, chrf: float, p: float | None) -> dict[str, Any]:
        both = {"BLEU": bleu, "chrF2": chrf}
        return {name: {"score": value, "mean": value + 0.01, "ci": 1.12, "p": p} for name, value in both.items()}

    return {
        "test": "bootstrap",
        "split": "test",
        "baseline": "multirun/multi30k/gru-1",
        "signatures": {
            "BLEU": "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
            "chrF2": "nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
        },
        "rows": [
            {"system": "multirun/multi30k/gru-1", "scores": scores(29.62, 49.81, None)},
            {"system": "multirun/multi30k/conv-1", "scores": scores(40.78, 59.9, 0.001)},
        ],
    }
