"""The documentation: links lead somewhere, everything that can be chosen is in it, and it names no machine."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data" / "README.md"])
OURS = ("seqtrain", "hydra_plugins", "conf", "docs", "tests", "benchmarks", ".ci")
OPTIONS = sorted(file for group in ("model", "data", "callbacks") for file in (ROOT / "conf" / group).glob("*.yaml"))
MACHINE = re.compile(r"(?<![\w.~$}])/(?:home|root|work|tmp|Users|scratch)/\w")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code blocks and code spans."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "`", text)


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=name)
def test_every_page_can_be_reached_from_the_index(page: Path) -> None:
    seen, waiting = set(), [ROOT / "docs" / "README.md"]
    while waiting:
        place = waiting.pop()
        if place in seen or place.suffix != ".md" or not place.is_file():
            continue
        seen.add(place)
        links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose(place))
        waiting += [(place.parent / link).resolve() for link in links if "://" not in link]
    assert page in seen


@pytest.mark.parametrize("file", OPTIONS, ids=name)
def test_everything_that_can_be_chosen_is_documented(file: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("**/*.md")]
    assert any(re.search(rf"`(?:{file.parent.name}=)?{file.stem}`", page) for page in pages)
    if file.parent.name in ("model", "data"):
        assert (ROOT / "docs" / {"model": "models"}.get(file.parent.name, "data") / f"{file.stem}.md").is_file()


def test_no_machine_is_named() -> None:
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]
    files += [file for folder in OURS for file in (ROOT / folder).glob("**/*") if file.is_file()]
    for file in files:
        if "__pycache__" in file.parts or file.suffix in (".png", ".gz"):
            continue
        found = MACHINE.search(file.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{name(file)}: {found and found[0]}"
