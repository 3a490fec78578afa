// Tables that are sorted by a click on a head, and filtered by words.

const COLLATOR = new Intl.Collator("en", { numeric: true });

const AT_ONCE = 100;

/**
 * The lines of a table's body. Of many only the first are on the page, and more when these have been scrolled through,
 * as laying out a thousand takes a browser a second.
 */
class Lines {
  constructor(all) {
    this.body = element("tbody");
    this.order = all;
    this.keeps = () => true;
    this.restart();
  }

  sort(order) {
    this.order = order;
    this.restart();
  }

  /** Shows the lines for which `keeps` is true; returns how many these are. */
  filter(keeps) {
    this.keeps = keeps;
    return this.restart();
  }

  restart() {
    this.waiting = this.order.filter(this.keeps);
    const number = this.waiting.length;
    this.body.replaceChildren();
    this.more();
    return number;
  }

  more(number = AT_ONCE) {
    this.body.append(...this.waiting.splice(0, number));
  }
}

/**
 * A table in a box that scrolls by itself.
 *
 * A column has a `head`; `key(row)`, the number or text that it is sorted by, or null; and `cell(row)`, what is shown,
 * the key's text if it has none. Rows of `foot` stay below and are lists of texts. `filter` says what is filtered.
 */
function makeTable({ label, columns, rows, foot = [], filter = null }) {
  const keys = rows.map((row) => columns.map((column) => column.key(row)));
  const numeric = columns.map((_, index) => index > 0 && keys.some((found) => typeof found[index] === "number"));
  const line = (cells) => element("tr", {}, ...cells.map((cell, index) => makeCell(cell, index, numeric[index])));
  const all = rows.map((row, place) =>
    line(columns.map(({ cell }, index) => (cell ? cell(row) : String(keys[place][index] ?? "")))),
  );
  const lines = new Lines(all);
  const heads = columns.map(({ head }, index) => makeHead(head, numeric[index]));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), lines.body);
  if (foot.length > 0) table.append(element("tfoot", {}, ...foot.map(line)));
  const box = element("div", { class: "box", role: "region", "aria-label": label, tabindex: "0" }, table);
  heads.forEach((head, index) => {
    head.firstChild.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      box.scrollTop = 0;
      lines.sort(sorted(all, keys, index, direction === "descending"));
    });
  });
  box.addEventListener("scroll", () => {
    if (box.scrollTop + 2 * box.clientHeight > box.scrollHeight) lines.more();
  });
  addEventListener("beforeprint", () => lines.more(Infinity));
  return filter === null ? [box] : [makeFilter(filter, all, lines), box];
}

function makeHead(text, numeric) {
  const attributes = numeric ? { class: "number" } : {};
  return element("th", { scope: "col", ...attributes }, element("button", { type: "button" }, text));
}

/** A cell of a row; the first one is what the row is about. */
function makeCell(content, index, numeric) {
  if (numeric) return element("td", { class: "number" }, content);
  const text = element("div", { class: "text" }, ...[content].flat());
  return index === 0 ? element("th", { scope: "row" }, text) : element("td", {}, text);
}

/** Lines in the order of a column; equal ones stay in the order of the comparison, and empty ones come last. */
function sorted(lines, keys, column, descending) {
  const sign = descending ? -1 : 1;
  const order = lines.map((_, place) => place);
  order.sort((a, b) => compare(keys[a][column], keys[b][column], sign) || a - b);
  return order.map((place) => lines[place]);
}

/** Numbers, then texts, then what is no number, then what is not there; `sign` turns the first two around. */
function compare(a, b, sign) {
  const kinds = kind(a) - kind(b);
  if (kinds !== 0) return kinds;
  if (typeof a === "string") return sign * COLLATOR.compare(a, b);
  return kind(a) > 0 || a === b ? 0 : sign * (a < b ? -1 : 1);
}

function kind(key) {
  if (key === null || key === "") return 3;
  if (typeof key === "string") return 1;
  return Number.isNaN(key) ? 2 : 0;
}

/** A field for words that must all occur in a line, and how many lines are left. */
function makeFilter(noun, all, lines) {
  const textOf = (line) => [...line.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
  const texts = new Map(all.map((line) => [line, textOf(line)]));
  const label = `Filter the ${noun}s`;
  const field = element("input", { type: "search", "aria-label": label, placeholder: "all of these words" });
  const left = element("output", {}, count(all.length, noun));
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    const shown = lines.filter((line) => words.every((word) => texts.get(line).includes(word)));
    left.textContent = shown === all.length ? count(shown, noun) : `${shown} of ${count(all.length, noun)}`;
  });
  return element("p", { class: "filter" }, element("label", {}, "Filter ", field), left);
}
