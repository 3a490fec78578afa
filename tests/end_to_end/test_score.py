"""Pairs in, log-probabilities out; and several checkpoints that translate, score and are measured as one."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from seqtrain.commands.evaluate import main as evaluate
from seqtrain.commands.score import main as score
from seqtrain.commands.translate import main as translate
from tests.end_to_end.conftest import Seqtrain


def test_pairs_from_files_and_from_a_pipe(seqtrain: Seqtrain, trained: Path) -> None:
    folder = trained / "hypotheses"
    sources, targets = folder / "test.source.txt", folder / "test.reference.txt"
    done = seqtrain("score", f"run={trained}", "--source", sources, "--target", targets)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 20
    total, count = sum(float(row[0]) for row in rows), sum(int(row[1]) for row in rows)
    for log_probability, tokens, perplexity in rows:
        assert float(perplexity) == pytest.approx(math.exp(-float(log_probability) / int(tokens)), rel=1e-3)
    assert f"20 pairs, {count} tokens, " in done.stderr
    assert float(done.stderr.split()[-3].rstrip(",")) == pytest.approx(total, abs=1e-2)
    results = json.loads((trained / "manifest.json").read_text())["results"]
    assert math.exp(-total / count) == pytest.approx(results["test/perplexity"], rel=1e-4)
    lines = zip(sources.read_text().splitlines(), targets.read_text().splitlines(), strict=True)
    piped = seqtrain("score", f"run={trained}", stdin="".join(f"{one}\t{other}\n" for one, other in lines))
    assert (piped.stdout, piped.stderr) == (done.stdout, done.stderr)


def test_an_ensemble_translates_scores_and_is_measured(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    other = shutil.copytree(own, tmp_path / "other")
    content = torch.load(other / "checkpoints" / "best.ckpt", weights_only=True)
    generator = torch.Generator().manual_seed(0)
    for weights in content["state_dict"].values():
        weights += 0.3 * torch.randn(weights.shape, generator=generator)
    torch.save(content, other / "checkpoints" / "best.ckpt")
    assert evaluate(["run=run,other"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert [Path(file).parts[0] for file, _ in measured["ensemble"]] == ["other"]
    (folder,) = own.glob("evaluations/captions-test-ensemble2-beam1-*")
    texts = folder / "hypotheses"
    assert translate(["run=run,other", "--input", str(texts / "test.source.txt")]) == 0
    assert capsys.readouterr().out == (texts / "test.txt").read_text()
    words = ["--source", str(texts / "test.source.txt"), "--target", str(texts / "test.reference.txt")]
    perplexities = []
    for runs in ("run=run,other", "run=run", "run=other"):
        assert score([runs, *words]) == 0
        perplexities.append(float(capsys.readouterr().err.split()[-1]))
    assert perplexities[0] == pytest.approx(measured["metrics"]["test/perplexity"], rel=1e-3)
    assert perplexities[1] != perplexities[2]
    assert perplexities[0] < math.sqrt(perplexities[1] * perplexities[2])  # the mean of p is above their geometric mean
