"""Whether W&B can be asked: which server, whether there is a key, whether it answers. Imports neither W&B nor torch."""

import configparser
import netrc
import os
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Literal

Mode = Literal["online", "offline", "disabled"]


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
    url = base_url()
    host = urllib.parse.urlsplit(url).hostname or url
    if not has_key(host):
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


def base_url() -> str:
    """The server that W&B's client talks to: that of the environment, of W&B's settings, or W&B's own."""
    if os.environ.get("WANDB_BASE_URL"):
        return os.environ["WANDB_BASE_URL"]
    folder = os.environ.get("WANDB_CONFIG_DIR") or os.path.join(os.path.expanduser("~"), ".config", "wandb")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(os.path.join(folder, "settings"))
    except (configparser.Error, OSError, UnicodeDecodeError):
        return "https://api.wandb.ai"
    return settings.get("default", "base_url", fallback="https://api.wandb.ai")


def has_key(host: str) -> bool:
    """Whether there is a key, or a token, for a host."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = os.environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
