"""What a training goes on from."""

from pathlib import Path

from seqtrain.commands.train import checkpoint_to_resume


def test_a_run_that_is_named_is_gone_on_with_wherever_the_new_one_is_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    last = run / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_text("")
    (run / "manifest.json").write_text("{}")
    assert checkpoint_to_resume(str(run), tmp_path / "other") == last
    assert checkpoint_to_resume(str(last), tmp_path / "other") == last
    assert checkpoint_to_resume("auto", run) == last
    assert checkpoint_to_resume("auto", tmp_path / "other") is None
    assert checkpoint_to_resume(None, run) is None
