"""Weights & Biases: online when it can be, offline when it cannot, and never a reason to stop a training."""

import contextlib
import json
import logging
import os
import secrets
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.errors import UserError
from seqtrain.runs.files import text_of, write_text
from seqtrain.runs.markdown import first_line
from seqtrain.runs.nonfinite import spelled
from seqtrain.runs.record import Run
from seqtrain.runs.wandb_log import read_rows
from seqtrain.runs.wandb_mode import answers, base_url, choose_mode
from seqtrain.runs.wandb_record import MANIFEST, REWOUND, STEP

log = logging.getLogger(__name__)

FILES = ("manifest.json", "changes*.diff", "buckets.json", "gradient_flow.json", "hypotheses/test*.txt")
"""What of a run's directory W&B gets, so that the run can be compared from there."""

FINISH_SECONDS = 600
"""How long the end of a training waits for W&B to send what it has not sent yet; W&B itself knows no limit."""


class WandB(WandbLogger):
    """A W&B run whose files lie in the run's directory and which a resumed run goes on with.

    Args:
        directory: the run's directory; W&B's files go to `wandb/` in it, the run's id to `wandb/id`.
        project: W&B's project.
        entity: the user or team; `None` is W&B's default.
        mode: `auto` is online if there is a key and the host answers within two seconds, else offline. The
            environment's `WANDB_MODE` decides in place of `auto`.
        name: how the run is called; `None` is the directory's name.
        group: runs that belong together.
        tags: words to find the run by.
        log_model: upload checkpoints; online only.
    """

    def __init__(
        self,
        *,
        directory: str,
        project: str = "seqtrain",
        entity: str | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        log_model: bool = False,
    ) -> None:
        chosen, reason = choose_mode(mode)
        if log_model and chosen != "online":
            log.warning("W&B is %s: checkpoints are not uploaded (logger.log_model).", chosen)
        folder = Path(directory).resolve()
        super().__init__(
            name=name or folder.name,
            save_dir=str(folder),
            id=_run_id(folder),
            project=project,
            log_model=log_model and chosen == "online",
            entity=entity,
            group=group,
            tags=list(tags or []),
            # Lightning's `offline=True` would set WANDB_MODE for everything that follows in the process.
            mode=chosen,
            # What the terminal shows is in seqtrain.log; capturing it would copy the progress bar line by line.
            settings=wandb.Settings(console="off", silent=True, **_patience()),
        )
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, though Lightning gives it no value
        self.mode = chosen
        self._reason = reason
        self._announced = False
        self._config: dict[str, Any] = {}
        self._anew = False
        self._lost = False
        self._refused = False

    @property
    def experiment(self) -> Any:
        """W&B's run, begun when it is first asked for.

        Raises:
            UserError: W&B refused it (mode `online` without a key, say).
        """
        begun = self._experiment is not None
        try:
            experiment = super().experiment
        except wandb.errors.Error as error:
            raise UserError(
                f"W&B cannot begin the run: {error}", "Log in with `wandb login`, or set logger.mode=offline.", code=1
            ) from error
        if not begun and not self._announced and _is_first():
            self._announced = True
            self._announce(experiment)
        return experiment

    def _announce(self, experiment: Any) -> None:
        if self.mode == "online":
            log.info("W&B: %s", experiment.url)
        elif self.mode == "offline":
            folder = Path(experiment.dir).parent
            log.info("W&B: offline (%s). Send it later with: wandb sync %s", self._reason, folder)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Sets W&B's config: the composed configuration and what the manifest says, as plain values."""
        self._config = spelled(vars(params) if isinstance(params, Namespace) else dict(params))
        self._attempt(lambda: self.experiment.config.update(self._config, allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs numbers under a step."""
        self._attempt(lambda: super(WandB, self).log_metrics(metrics, step), recorded=True)

    @rank_zero_only
    def log_table(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Logs rows of text."""
        self._attempt(lambda: super(WandB, self).log_table(key, *args, **kwargs), asks=True)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Logs pictures."""
        self._attempt(lambda: super(WandB, self).log_image(key, images, step, **kwargs), asks=True)

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Logs where a resumed run goes on from, for readers to drop what was logged after that before.

        Args:
            step: optimizer steps that had been taken at the checkpoint.
        """
        self._attempt(lambda: self.experiment.log({REWOUND: step, STEP: step}))

    def _attempt(self, do: Callable[[], Any], *, recorded: bool = False, asks: bool = False) -> None:
        """Does something with W&B's run. If its process or its folder is gone, begins it anew and does it there.

        Args:
            do: what to do.
            recorded: whether it is in `metrics.jsonl` by now, of which a run begun anew gets what it lacks.
            asks: whether the server is asked, which takes long where it has gone: then it is left out.
        """
        if self._lost:
            return
        if asks and self.mode == "online" and not answers(base_url()):
            self._refuse("its server does not answer; what is no number is left out")
            return
        try:
            do()
        except UserError:
            raise
        except (ConnectionError, FileNotFoundError) as error:
            if self._begin_anew(error) and not (recorded and self._record_path.exists()):
                self._attempt(do)
        except Exception as error:  # of W&B's own kinds, of the server, of the disk: the training goes on
            self._refuse(first_line(error))

    def _refuse(self, reason: str) -> None:
        if not self._refused:
            log.warning("W&B does not get all of the run: %s", reason)
        self._refused = True

    def _begin_anew(self, error: Exception) -> bool:
        """Goes on with the run in a new folder of W&B's, offline, once; tells whether that was possible."""
        broken, self._experiment = self._experiment, None
        self._lost = self._anew or broken is None
        if broken is not None and not self._anew:
            self._anew, self.mode = True, "offline"
            before = Path(broken.dir).parent
            with contextlib.suppress(Exception):  # its process may have ended
                wandb.teardown()
            wandb.run = None
            self._wandb_init["mode"] = "offline"
            try:
                self.experiment.config.update(self._config, allow_val_change=True)
                write_text(_id_path(self._record_path.parent), broken.id + "\n")  # gone with the folder
                self._log_again(before)
            except Exception as second:
                error, self._lost = second, True
        if self._lost:
            log.warning("W&B gets nothing more of the run (%s); %s has all.", first_line(error), self._record_path)
            return False
        log.warning(
            "W&B's process or folder is gone (%s): the run goes on offline. Send all of it later with: wandb sync %s",
            error,
            before.parent / "*run-*",
        )
        return True

    def _log_again(self, folder: Path) -> None:
        """Logs what is recorded of the run, and is not in a folder of W&B's that was left off in the middle."""
        text = text_of(self._record_path, errors="replace")
        if text is None:
            return
        kept = [int(row.get(STEP) or 0) for log in folder.glob("*.wandb") for row in read_rows(log)]
        # Of the last step, a part may be missing.
        begin = max(kept, default=0)
        self.experiment.log({REWOUND: begin, STEP: begin})
        for line in map(json.loads, text.splitlines()):
            if (line["step"] or 0) >= begin:
                self.experiment.log({STEP: line.pop("step"), **line})

    @property
    def _record_path(self) -> Path:
        return Path(str(self.save_dir)) / "metrics.jsonl"

    @rank_zero_only
    def complete(self, record: Run) -> None:
        """Gives W&B what a run has left that has ended: its manifest, its results as the summary, and `FILES`.

        Does nothing if the W&B run is not open. What goes wrong is only warned of.
        """
        if self._experiment is None:
            return
        try:
            manifest = spelled(record.described())
        except UserError as error:
            log.warning("W&B did not get all that the run has left: %s", error)
            return
        self._attempt(lambda: self._complete(manifest, record.directory))

    def _complete(self, manifest: dict[str, Any], directory: Path) -> None:
        self.experiment.config.update({MANIFEST: manifest}, allow_val_change=True)
        self.experiment.summary.update({"status": manifest["status"], **(manifest.get("results") or {})})
        if self.mode != "disabled":
            self._save_files(self.experiment, directory)
            folder = Path(self.experiment.dir).parent
            if not list(folder.glob("*.wandb")):
                raise FileNotFoundError(f"{folder} was removed")

    @staticmethod
    def _save_files(experiment: Any, directory: Path) -> None:
        """Copies them to W&B's folder, since links to them would break when the folder is moved."""
        folder = Path(experiment.dir)
        for path in (found for pattern in FILES for found in sorted(directory.glob(pattern))):
            copy = folder / path.relative_to(directory)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            experiment.save(str(copy), base_path=str(folder), policy="now", glob=False)

    @rank_zero_only
    def finish(self, *, exit_code: int = 0) -> None:
        """Ends the W&B run, and does nothing if it is not open. Anything but 0 shows it as failed."""
        experiment, self._experiment = self._experiment, None
        if experiment is None:
            return
        folder = Path(experiment.dir).parent
        try:
            experiment.finish(exit_code=exit_code)
        except Exception as error:  # see `_attempt`
            log.warning("W&B did not get all of the run (%s). Send it later with: wandb sync %s", error, folder)
            if isinstance(error, ConnectionError):
                with contextlib.suppress(ConnectionError):  # or it would be a traceback when Python ends
                    wandb.teardown()


def _patience() -> dict[str, Any]:
    """Settings: whoever set a limit for W&B knows better."""
    limit = {} if "WANDB_FINISH_TIMEOUT" in os.environ else {"finish_timeout": FINISH_SECONDS}
    return {"finish_timeout_raises": True, **limit}


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _run_id(directory: Path) -> str | None:
    """The id of the W&B run of a run's directory: the same one whenever the run goes on."""
    if not _is_first():
        return None
    path = _id_path(directory)
    if path.exists():
        return path.read_text("utf-8").strip()
    identity = secrets.token_hex(4)
    write_text(path, identity + "\n")
    return identity


def _id_path(directory: Path) -> Path:
    return directory / "wandb" / "id"
