// The groups: how each looks in every plot, and which of them are shown.

const COLOURS = 10;
const DASHES = 4;

class Groups {
  constructor(labels) {
    this.labels = labels;
    this.hidden = new Set();
    this.listeners = [];
  }

  /** The classes of its lines: a colour, and dashes where the colours have been used up. */
  look(label) {
    const index = this.labels.indexOf(label);
    return `series-${index % COLOURS} dash-${Math.floor(index / COLOURS) % DASHES}`;
  }

  isShown(label) {
    return !this.hidden.has(label);
  }

  toggle(label) {
    if (!this.hidden.delete(label)) this.hidden.add(label);
    for (const listener of this.listeners) listener();
  }

  /** Calls a function whenever other groups are shown. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** A short line that looks as the group's. */
  sample(label) {
    const line = drawn("path", { class: `line ${this.look(label)}`, d: "M0 5H26" });
    return drawn("svg", { class: "sample", viewBox: "0 0 26 10", "aria-hidden": "true" }, line);
  }

  /** Buttons that hide groups and show them again. */
  legend(labels) {
    const buttons = labels.map((label) => {
      const button = element("button", { type: "button" }, this.sample(label), element("span", {}, label));
      button.addEventListener("click", () => this.toggle(label));
      const show = () => button.setAttribute("aria-pressed", String(this.isShown(label)));
      this.listen(show);
      show();
      return element("li", {}, button);
    });
    return element("ul", { class: "legend", "aria-label": "Groups: press to hide or show" }, ...buttons);
  }
}
