"""A real browser, without a network and without a screen, for tests of pages."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from seqtrain.runs.page import page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

CONTRASTS = """
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const part = (value) => (value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
        if (alpha > 0) return [r, g, b];
      }
    };
    const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "";
    return [...document.querySelectorAll(arguments[0])]
      .filter((element) => arguments[1] !== "text" || [...element.childNodes].some(isText))
      .map((element) => {
        const style = getComputedStyle(element);
        const colour = arguments[1] === "text" && element.namespaceURI.endsWith("svg") ? style.fill : style.color;
        return [ratio(parse(colour), behind(element)), element.outerHTML.slice(0, 80)];
      });
"""


class Browser:
    """A browser that shows pages of comparisons.

    Args:
        driver: Chromium.
        place: a folder for the pages.
    """

    def __init__(self, driver: Chrome, place: Path) -> None:
        self.driver = driver
        self.place = place

    def show(self, comparison: Mapping[str, Any], *, width: int = 1280, scheme: str = "light") -> None:
        """Opens the page of a comparison from a file, in a window of so many pixels."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        (self.place / "page.html").write_text(page(comparison), encoding="utf-8")
        self.driver.get((self.place / "page.html").as_uri())
        self.wait(lambda: len(self.all("svg.plot")) == len(self.all("figure")))

    def wait(self, true: Callable[[], bool]) -> None:
        """Waits until something is true, for ten seconds at most."""
        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(lambda _: true())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column of the rows that are there, the first column being 1."""
        cells = f"#{table} tbody tr > :nth-child({number})"
        return self.run("return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent)", cells)

    def head(self, table: str, number: int) -> WebElement:
        return self.one(f"#{table} thead th:nth-child({number}) button")

    def counts(self, selector: str) -> list[int]:
        """How many of something are in each figure."""
        number = "(figure) => figure.querySelectorAll(arguments[0]).length"
        return self.run(f"return [...document.querySelectorAll('figure')].map({number})", selector)

    def worst_contrast(self, selector: str, what: str) -> tuple[float, str]:
        """The lowest ratio of contrast of `text`, or of `lines`, to what is behind it; and what has it."""
        return tuple(min(self.run(CONTRASTS, selector, what)))

    def complaints(self) -> list[str]:
        """What the console says since it was read."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def started(place: Path) -> Iterator[Browser]:
    """A browser with a profile of its own that is ended with the block."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={place / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield Browser(driver, place)
    finally:
        driver.quit()
