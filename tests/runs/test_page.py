"""The page of a comparison, in a real browser."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from selenium.webdriver import ActionChains, Keys

from seqtrain.runs.page import page
from tests.runs import comparisons
from tests.runs.browser import CHROMIUM, DRIVER, Browser, started

needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
ATTACKS = (
    "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'><!--<script>",
    "\"'><svg onload=window.owned=1> constructor __proto__ & &lt; \u2028 \udc80",
)


class Elements(HTMLParser):
    """The elements of a page, and the text in each kind of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        kind = attributes.get("type") or tag
        self.texts[kind] = self.texts.get(kind, "") + data


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.mark.parametrize("text", ATTACKS)
def test_a_page_holds_its_comparison_and_refers_to_nothing(text: str) -> None:
    comparison = comparisons.hostile(text)
    elements = Elements(page(comparison))
    assert json.loads(elements.texts["application/json"]) == comparison
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not {"src", "href", "srcset", "style"} & {name for _, attributes in elements.found for name in attributes}


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        page(comparisons.nothing() | {"baselines": {"chance": float("nan")}})


@needs_browser
def test_tables_and_plots_show_what_was_compared(browser: Browser) -> None:
    browser.show(comparisons.translation())
    assert browser.column("groups", 1) == ["attention", "transformer", "conv", "gru", "seq2seq"]
    assert [cell.text for cell in browser.all("#groups .best")] == ["41.26 ± 0.52"]
    assert browser.column("groups", 5) == ["3", "3", "3", "3", "2 of 3"]
    assert browser.one("#groups tfoot").text.split("\n") == ["copying the source (baseline)", "5.12"]
    assert "seq2seq-3: failed: CUDA out of memory" in browser.one("#groups .notes").text
    assert browser.column("what-differs", 3) == ["0.001", "0.0005", "0.001", "0.001", "0.001"]
    assert [title.text for title in browser.all("figcaption")] == [
        "val/bleu × not finite",
        "train/nll logarithmic axis",
        "bleu by length",
    ]
    assert browser.counts(".line") == browser.counts(".band") == [5, 5, 5]
    assert browser.counts(".cross") == [1, 0, 0]
    assert browser.counts(".level") == [1, 0, 1]
    assert len(browser.all(".box table")) == 6
    assert len(browser.all("#results-by-part .above")) == 15
    assert "0.0010" in browser.one("#significance table").text
    assert "bs:1000" in browser.one("#significance dl").text
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []


@needs_browser
def test_a_head_sorts_and_words_filter(browser: Browser) -> None:
    browser.show(comparisons.translation())
    name, bleu = browser.head("runs", 1), browser.head("runs", 5)
    bleu.click()
    rising = browser.column("runs", 5)
    assert rising[-1] == ""
    assert rising[:-1] == sorted(rising[:-1], key=float)
    bleu.click()
    assert browser.column("runs", 5) == [*reversed(rising[:-1]), ""]
    assert browser.one("#runs th[aria-sort]").get_attribute("aria-sort") == "descending"

    field = browser.one("#runs input")
    field.send_keys("FINISHED seq2seq")
    assert browser.column("runs", 1) == ["seq2seq-2", "seq2seq-1"]
    assert browser.one("#runs output").text == "2 of 15 runs"
    # From the field, the next one is the box, and then comes its first head.
    ActionChains(browser.driver).send_keys(Keys.TAB, Keys.TAB).perform()
    assert browser.driver.switch_to.active_element == name
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    assert browser.column("runs", 1) == ["seq2seq-1", "seq2seq-2"]


@needs_browser
def test_groups_are_hidden_and_values_are_read(browser: Browser) -> None:
    browser.show(comparisons.translation())
    button = browser.one(".legend button")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert browser.counts(".line") == browser.counts(".band") == [4, 4, 4]

    ActionChains(browser.driver).move_to_element(browser.all("svg.plot")[1]).perform()
    tip = browser.all(".tip")[1].text
    assert tip.startswith("step 1")
    assert "gru" in tip
    assert "attention" not in tip

    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert browser.counts(".line") == [5, 5, 5]
    browser.all("svg.plot")[2].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    tip = browser.all(".tip")[2].text
    assert tip.startswith("length 8–9\n")
    assert "attention\n41.67 ± 0.60" in tip


@needs_browser
def test_the_command_is_copied(browser: Browser) -> None:
    browser.show(comparisons.translation())
    button = browser.one(".command button")
    button.click()
    browser.wait(lambda: button.text != "Copy")
    assert button.text in ("Copied", "Selected")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_legible(browser: Browser, scheme: str) -> None:
    browser.show(comparisons.translation(), width=360, scheme=scheme)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    ratio, where = browser.worst_contrast("body *:not(script):not(noscript)", "text")
    assert ratio >= 4.5, where
    for number in range(10):
        browser.run("document.querySelector('.line').setAttribute('class', arguments[0])", f"line series-{number}")
        assert browser.worst_contrast(".line", "lines")[0] >= 3, number


@needs_browser
@pytest.mark.parametrize("text", ATTACKS)
def test_names_are_text_and_nothing_else(browser: Browser, text: str) -> None:
    browser.show(comparisons.hostile(text + "x" * 100), width=360)
    written = "JSON.parse(document.getElementById('comparison').textContent).title"
    assert browser.run(f"return document.querySelector('h1').textContent === {written}")
    assert browser.run("return 'owned' in window") is False
    assert browser.all("img, iframe, svg[onload]") == []
    assert len(browser.all("script")) == 2
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []

    browser.run(
        "const made = document.createElement('script'); made.textContent = 'window.owned = 1';"
        "document.body.append(made); document.body.append(Object.assign(new Image(), {src: 'x.png'}))"
    )
    assert browser.run("return 'owned' in window") is False
    refused = browser.complaints()
    assert len([line for line in refused if "Content Security Policy" in line]) == 2, refused


@needs_browser
def test_a_thousand_runs_are_sorted_and_filtered_at_once(browser: Browser) -> None:
    browser.show(comparisons.many_runs(1000))
    took = browser.run(
        """
        const button = document.querySelector("#runs thead th:nth-child(5) button");
        const field = document.querySelector("#runs input");
        const time = (act) => {
          const start = performance.now();
          act();
          document.querySelector("#runs .box").scrollHeight;
          return performance.now() - start;
        };
        const type = (text) => { field.value = text; field.dispatchEvent(new Event("input")); };
        const sorting = [1, 2, 3, 4].map(() => time(() => button.click()));
        const typing = ["1", "17", "17 g", ""].map((text) => time(() => type(text)));
        return [Math.min(...sorting), Math.min(...typing)];
        """
    )
    assert max(took) < 100, took  # milliseconds, with the layout
    assert browser.one("#runs output").text == "1,000 runs"
    assert len(browser.column("runs", 1)) < 500
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert len(browser.column("runs", 1)) == 1000


@needs_browser
def test_there_may_be_nothing_to_show(browser: Browser) -> None:
    browser.show(comparisons.nothing())
    assert browser.one("h1").text == "Nothing"
    assert browser.all("h2") == []
    assert browser.complaints() == []
