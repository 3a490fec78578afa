"""A comparison as a page: one HTML file that needs nothing else, and shows what others logged without trusting it."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

PARTS = Path(__file__).with_name("html")
STYLES = ("base.css", "tables.css", "plots.css", "print.css")
SCRIPTS = (
    "elements.js",
    "numbers.js",
    "tables.js",
    "scales.js",
    "groups.js",
    "plots.js",
    "pointer.js",
    "sections.js",
    "main.js",
)
"""The page's style and its script are these files, one after another."""


def page(comparison: Mapping[str, Any]) -> str:
    """The page: its tables and plots are made by its script from the comparison, which is in it as JSON.

    A name of a run may hold anything. It is escaped here, is only ever text for the script, and the page's policy
    lets nothing run, or be fetched, but its own script and style.

    Args:
        comparison: plain values that JSON can hold; numbers that are not finite are the texts "NaN", "Infinity" and
            "-Infinity".

    Raises:
        ValueError: a number is not finite.
    """
    style = "\n".join(map(_read, STYLES))
    script = "\n".join(map(_read, SCRIPTS))
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'"
    return Template(_read("page.html")).substitute(
        policy=html.escape(policy),
        # A name that is no text, of a file, say, could not be written as UTF-8.
        title=html.escape(str(comparison["title"]).encode("utf-8", "backslashreplace").decode()),
        style=style,
        data=_json(comparison),
        script=script,
    )


def _json(comparison: Mapping[str, Any]) -> str:
    """JSON of ASCII that ends no element and begins none, wherever in a page it stands."""
    text = json.dumps(comparison, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")
