"""Averaged weights and moving averages, against NumPy; and that a run that was stopped makes the same."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from seqtrain.callbacks.averaging import Averaging
from seqtrain.callbacks.bleu import BLEU
from seqtrain.callbacks.checkpoints import Checkpoints
from seqtrain.callbacks.ema import EMA
from seqtrain.callbacks.interruption import Interruption
from seqtrain.commands import testing, train
from seqtrain.commands.summary import tabulated
from seqtrain.errors import UserError
from seqtrain.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from seqtrain.runs.metrics import MetricsFile
from seqtrain.runs.record import Run
from tests.callbacks.test_resume import CrashAfter, SignalAfter, fit
from tests.tiny import Numbers, Regression, Texts, Translator, trainer


class Notes(pl.Callback):
    """The weights after every step, and those that were validated, by steps taken."""

    def __init__(self) -> None:
        self.trained: dict[int, np.ndarray] = {}
        self.validated: dict[int, np.ndarray] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.trained.setdefault(trainer.global_step, weight(pl_module))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.trained[trainer.global_step] = weight(pl_module)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.validated[trainer.global_step] = weight(pl_module)


def weight(module: pl.LightningModule) -> np.ndarray:
    layer: Any = module.layer
    copied: np.ndarray = layer.weight.detach().clone().numpy()
    return copied


def saved(path: Path) -> np.ndarray:
    found: np.ndarray = read_checkpoint(path)["state_dict"]["layer.weight"].numpy()
    return found


def recurrence(trained: dict[int, np.ndarray], decay: float) -> dict[int, np.ndarray]:
    """θ' after every step, written from the equation, in 64 bits."""
    average = trained[0].astype(np.float64)
    found = {0: average}
    for step in range(1, max(trained) + 1):
        d = min(decay, step / (9 + step))
        average = d * average + (1 - d) * trained[step]
        found[step] = average
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir() if path.name != "previous.ckpt")


def test_the_mean_of_the_last_is_numpys(tmp_path: Path) -> None:
    notes = Notes()
    fit(tmp_path, Averaging(number=2), notes)
    expected = np.mean([notes.validated[8], notes.validated[12]], axis=0, dtype=np.float64)
    np.testing.assert_allclose(saved(tmp_path / "checkpoints" / "averaged.ckpt"), expected, rtol=1e-7)
    assert files(tmp_path) == ["averaged.ckpt", "best.ckpt", "last.ckpt", "weights-12.ckpt", "weights-8.ckpt"]
    np.testing.assert_array_equal(saved(tmp_path / "checkpoints" / "weights-8.ckpt"), notes.validated[8])


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_mean_of_the_best_is_numpys(tmp_path: Path, mode: Any) -> None:
    notes, averaging = Notes(), Averaging(number=2, keep="best", monitor="val/loss", mode=mode)
    model = fit(tmp_path, averaging, notes, max_epochs=5)
    ranked = sorted(model.validations, key=lambda found: found[1], reverse=mode == "max")[:2]
    expected = np.mean([notes.validated[step] for step, _ in ranked], axis=0, dtype=np.float64)
    averaged = read_checkpoint(tmp_path / "checkpoints" / "averaged.ckpt")
    np.testing.assert_allclose(averaged["state_dict"]["layer.weight"].numpy(), expected, rtol=1e-7)
    assert averaged["averaged"] == sorted(step for step, _ in ranked)


@pytest.mark.parametrize("callback", [lambda: Averaging(number=2), lambda: EMA(decay=0.9)], ids=["averaging", "ema"])
@pytest.mark.parametrize(("ending", "step"), [("signal", 6), ("signal", 12), ("crash", 9)])
def test_stopped_and_resumed_is_bit_for_bit_the_same(tmp_path: Path, callback: Any, ending: str, step: int) -> None:
    folder = tmp_path / "run"
    whole = fit(tmp_path / "whole", callback())
    # Behind the one that saves, as a callback that is added on the command line stands.
    end = [Interruption(directory=str(folder)), SignalAfter(step)] if ending == "signal" else [CrashAfter(step)]
    stopped = fit(folder, *end, callback())
    resumed = fit(folder, callback(), seed=9, ckpt=folder / "checkpoints" / "last.ckpt")
    assert files(folder) == files(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
    assert sorted({*stopped.validations, *resumed.validations}) == whole.validations
    for name in files(folder):
        np.testing.assert_array_equal(
            saved(folder / "checkpoints" / name), saved(tmp_path / "whole" / "checkpoints" / name)
        )


def test_a_crash_between_its_files_and_the_checkpoint_loses_nothing(tmp_path: Path) -> None:
    class Crash(Checkpoints):
        """Fails instead of saving, after the other callbacks have written theirs."""

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.global_step == 12:
                raise RuntimeError("power cut")
            super().on_train_epoch_end(trainer, pl_module)

    whole, folder = tmp_path / "whole", tmp_path / "run"
    fit(whole, Averaging(number=2), max_epochs=4)
    options: dict[str, Any] = {"max_epochs": 4, "enable_checkpointing": True, "plugins": [AtomicCheckpointIO()]}
    torch.manual_seed(0)
    crash = Crash(dirpath=str(folder / "checkpoints"), monitor="val/loss", mode="min")
    with pytest.raises(RuntimeError, match="power cut"):
        trainer(folder, Averaging(number=2), crash, **options).fit(Regression(dropout=0.5), datamodule=Numbers())
    assert {"weights-4.ckpt", "weights-8.ckpt", "weights-12.ckpt"} <= set(files(folder))
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == 8
    (folder / "checkpoints" / "weights-99.ckpt").touch()  # as of a longer training that is taken back
    fit(folder, Averaging(number=2), ckpt=folder / "checkpoints" / "last.ckpt", max_epochs=4)
    assert files(folder) == files(whole)


class Spoil(pl.Callback):
    """Damages or removes files at the end of the training."""

    def __init__(self, damaged: list[int], removed: list[int]) -> None:
        self.damaged, self.removed = damaged, removed

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = Path(trainer.default_root_dir) / "checkpoints"
        for step in self.damaged:
            (folder / f"weights-{step}.ckpt").write_bytes(b"PK")
        for step in self.removed:
            (folder / f"weights-{step}.ckpt").unlink()


def test_what_cannot_be_read_any_more_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()
    fit(tmp_path / "one", Averaging(number=3), notes, Spoil([8], [4]))
    averaged = read_checkpoint(tmp_path / "one" / "checkpoints" / "averaged.ckpt")
    assert averaged["averaged"] == [12]
    np.testing.assert_array_equal(averaged["state_dict"]["layer.weight"].numpy(), notes.validated[12])
    assert sorted(text.rpartition("weights-")[2][:2] for text in caplog.messages if "left out" in text) == ["4.", "8."]
    model = fit(tmp_path / "none", Averaging(number=1), Spoil([12], []))
    assert not hasattr(model, "ended_by")
    assert "averaged.ckpt" not in files(tmp_path / "none")
    assert "there are no weights to average" in caplog.messages


def test_scores_are_kept_for_a_run_that_goes_on_with_the_best(tmp_path: Path) -> None:
    averaging = Averaging(number=2, monitor="val/loss", mode="min")
    model = fit(tmp_path, averaging)
    assert [(kept["step"], kept["score"]) for kept in averaging.state_dict()["kept"]] == model.validations[-2:]


def test_ema_is_the_recurrence_and_is_what_is_validated_and_saved(tmp_path: Path) -> None:
    notes, average = Notes(), EMA(decay=0.5)
    model = fit(tmp_path, average, notes)
    expected = recurrence(notes.trained, 0.5)
    assert np.abs(expected[12] - notes.trained[12]).max() > 1e-3
    assert sorted(notes.validated) == [0, 4, 8, 12]
    for step, found in notes.validated.items():
        np.testing.assert_allclose(found, expected[step], rtol=1e-4, atol=1e-6)
    best = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    step = best["global_step"]
    np.testing.assert_array_equal(best["state_dict"]["layer.weight"].numpy(), notes.validated[step])
    np.testing.assert_array_equal(best["ema"]["trained"]["layer.weight"].numpy(), notes.trained[step])
    np.testing.assert_array_equal(weight(model), notes.validated[12])


def test_a_test_by_the_same_trainer_is_of_the_average(tmp_path: Path) -> None:
    class Tested(Regression):
        def test_step(self, batch: Any, batch_idx: int) -> None:
            self.tested = weight(self)

    best = Checkpoints(dirpath=str(tmp_path / "checkpoints"))
    model, fitted = Tested(), trainer(tmp_path, EMA(), best, enable_checkpointing=True, max_epochs=1)
    fitted.fit(model, datamodule=Numbers())
    path = tmp_path / "checkpoints" / "best.ckpt"
    fitted.test(model, dataloaders=Numbers().loader(3), ckpt_path=path, weights_only=True, verbose=False)
    np.testing.assert_array_equal(model.tested, saved(path))
    assert not np.array_equal(model.tested, read_checkpoint(path)["ema"]["trained"]["layer.weight"].numpy())


def test_a_run_that_ended_goes_on_with_what_was_trained(tmp_path: Path) -> None:
    """Not with the average, which the module holds at the end."""
    options: dict[str, Any] = {"check_val_every_n_epoch": 2}  # so that the end is saved without a validation
    longer = fit(tmp_path / "whole", EMA(decay=0.9), max_epochs=4, **options)
    first = fit(tmp_path / "run", EMA(decay=0.9), max_epochs=3, **options)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    second = fit(tmp_path / "run", EMA(decay=0.9), ckpt=last, max_epochs=4, seed=9, **options)
    assert len(first.losses) == 12
    assert first.losses + second.losses == longer.losses
    np.testing.assert_array_equal(weight(second), weight(longer))


class Shared(Regression):
    """Has its layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.again = self.layer


def test_tied_parameters_are_kept_once(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    trainer(tmp_path, Averaging(), **settings).fit(Shared(), datamodule=Numbers())
    weights = read_checkpoint(tmp_path / "checkpoints" / "weights-4.ckpt")["state_dict"]
    assert weights["layer.weight"].data_ptr() == weights["again.weight"].data_ptr()


def test_weights_in_16_bits_have_no_moving_average(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"precision=bf16-true(.|\n)*Set trainer\.precision=bf16-mixed"):
        trainer(tmp_path, EMA(), precision="bf16-true").fit(Regression(), datamodule=Numbers())


def test_shared_parameters_and_steps_over_several_batches(tmp_path: Path) -> None:
    average, model, notes = EMA(decay=0.5), Shared(), Notes()
    best = Checkpoints(dirpath=str(tmp_path))
    fitted = trainer(tmp_path, notes, average, best, enable_checkpointing=True, accumulate_grad_batches=2, max_epochs=1)
    fitted.fit(model, datamodule=Numbers())
    weights = read_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    assert torch.equal(weights["layer.weight"], weights["again.weight"])
    expected = recurrence(notes.trained, 0.5)[2]
    np.testing.assert_allclose(weights["again.weight"].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"keep=best: best by what"):
        Averaging(keep="best")
    with pytest.raises(UserError, match=r"monitor=val/blue: no such metric"):
        trainer(tmp_path, Averaging(keep="best", monitor="val/blue")).fit(Regression(), datamodule=Numbers())


class Drifting(Translator):
    """Its weight is another one after every step; notes with which it was tested."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.weight

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.tested = float(self.weight)


def weight_in(path: Path) -> float:
    return float(read_checkpoint(path)["state_dict"]["weight"])


def test_averaged_weights_are_tested_beside_the_best(tmp_path: Path) -> None:
    """Under names and in a folder of their own, with nothing of the best checkpoint's test overwritten."""
    metrics = MetricsFile(directory=str(tmp_path))
    best = Checkpoints(dirpath=str(tmp_path / "checkpoints"), monitor="val/bleu", mode="max")
    callbacks = [BLEU(resamples=0), Averaging(number=2), best]
    fitted = trainer(tmp_path, *callbacks, enable_checkpointing=True, logger=metrics, plugins=[AtomicCheckpointIO()])
    model: Any = Drifting()
    data: Any = Texts()
    data.has = lambda split: True
    fitted.fit(model, datamodule=data)
    results = testing.test_best(fitted, model, data)
    checkpoints = tmp_path / "checkpoints"
    assert model.tested == weight_in(checkpoints / "best.ckpt")
    written = {file: file.read_bytes() for file in (tmp_path / "hypotheses").iterdir()}
    # As though the averaged weights translated better.
    model.mistakes = lambda step: 0
    averaged = testing.test_averaged(fitted, model, data, Run(tmp_path))
    kept = [weight_in(path) for path in checkpoints.glob("weights-*.ckpt")]
    assert len(set(kept)) == 2
    assert model.tested == pytest.approx(sum(kept) / 2)
    assert results["test/bleu"] < 90
    assert averaged["averaged/bleu"] == pytest.approx(100, abs=1e-3)
    assert {file: file.read_bytes() for file in (tmp_path / "hypotheses").iterdir()} == written
    assert (tmp_path / "averaged" / "hypotheses" / "test.txt").read_text("utf-8").splitlines() == data.texts
    logged = [line for line in Run(tmp_path).metrics() if {"test/bleu", "averaged/bleu"} & line.keys()]
    assert [line.get("test/bleu", line.get("averaged/bleu")) for line in logged] == pytest.approx(
        [results["test/bleu"], 100], abs=1e-3
    )
    head, row, *_ = tabulated({**results, **averaged})
    assert head.split() == ["validation", "test", "averaged"]
    assert row.split() == ["bleu", f"{results['test/bleu']:.4g}", "100"]


def test_intervals_stand_behind_the_score() -> None:
    _, row = tabulated({"val/bleu": 30.0, "test/bleu": 31.2, "test/bleu_mean": 31.18, "test/bleu_ci": 0.95})
    assert row.split(maxsplit=2) == ["bleu", "30", "31.20 (31.18 ± 0.95)"]


def test_what_the_first_test_found_is_written_before_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(train, "test_averaged", fails)
    data: Any = Texts()
    data.has = lambda split: True
    record = Run.create(tmp_path / "run", OmegaConf.create({}))
    with pytest.raises(RuntimeError, match="out of memory"):
        train._results(trainer(tmp_path, BLEU(resamples=0)), cast(Any, Translator()), data, record, None)
    assert record.manifest["results"]["test/bleu"] > 0
