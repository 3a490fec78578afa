"""Weights & Biases: online when it can be, offline when it cannot, and never a reason to stop a training."""

import configparser
import logging
import netrc
import os
import secrets
import socket
import threading
import urllib.parse
import urllib.request
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from seqtrain.errors import UserError
from seqtrain.runs.files import write_text
from seqtrain.runs.record import Run

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]


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
            settings=wandb.Settings(console="off", silent=True),
        )
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, though Lightning gives it no value
        self.mode = chosen
        self._reason = reason
        self._announced = False

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
        values = vars(params) if isinstance(params, Namespace) else dict(params)
        self.experiment.config.update(values, allow_val_change=True)

    @rank_zero_only
    def complete(self, record: Run) -> None:
        """Gives W&B what the record says of a run that has ended: its manifest, and its results as the summary.

        Does nothing if the W&B run is not open.
        """
        if self._experiment is None:
            return
        manifest = record.described()
        self._experiment.config.update({"run": manifest}, allow_val_change=True)
        self._experiment.summary.update({"status": manifest["status"], **(manifest.get("results") or {})})

    @rank_zero_only
    def finish(self, *, exit_code: int = 0) -> None:
        """Ends the W&B run, and does nothing if it is not open. Anything but 0 shows it as failed."""
        experiment, self._experiment = self._experiment, None
        if experiment is not None:
            experiment.finish(exit_code=exit_code)


def choose_mode(
    mode: Literal["auto", "online", "offline", "disabled"],
    *,
    reachable: Callable[[str], bool] | None = None,
) -> tuple[Mode, str]:
    """Which mode to use, and why in a few words.

    Args:
        mode: what was asked for.
        reachable: tells whether the host of a URL answers; by default a TCP connection is tried for two seconds.
    """
    if mode != "auto":
        return mode, f"logger.mode={mode}"
    asked = os.environ.get("WANDB_MODE", "").strip().lower()
    if asked:
        if asked in {"offline", "dryrun"}:
            return "offline", f"WANDB_MODE={asked}"
        return ("disabled" if asked == "disabled" else "online"), f"WANDB_MODE={asked}"
    url = _base_url()
    host = urllib.parse.urlsplit(url).hostname or url
    if not _has_key(host):
        return "offline", f"no key for {host}: see `wandb login`"
    if not (reachable or answers)(url):
        return "offline", f"{host} does not answer"
    return "online", f"{host} answers"


def answers(url: str, *, seconds: float = 2.0) -> bool:
    """Whether the host of `url`, or the proxy that leads to it, takes a TCP connection within `seconds`."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    found = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection(address, timeout=seconds):
                found.set()
        except OSError:
            pass

    # In a thread, since looking a name up knows no time limit.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return found.is_set()


def _base_url() -> str:
    if os.environ.get("WANDB_BASE_URL"):
        return os.environ["WANDB_BASE_URL"]
    folder = os.environ.get("WANDB_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".config", "wandb")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(os.path.join(folder, "settings"))
    except (configparser.Error, OSError, UnicodeDecodeError):
        return "https://api.wandb.ai"
    return settings.get("default", "base_url", fallback="https://api.wandb.ai")


def _has_key(host: str) -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = os.environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _run_id(directory: Path) -> str | None:
    """The id of the W&B run of a run's directory: the same one whenever the run goes on."""
    if not _is_first():
        return None
    path = directory / "wandb" / "id"
    if path.exists():
        return path.read_text("utf-8").strip()
    identity = secrets.token_hex(4)
    write_text(path, identity + "\n")
    return identity
