// Elements of the page. What comes from a comparison becomes text, or the value of an attribute that is only shown:
// nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; a child that is no node becomes text. */
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, the same way. */
function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** What an object of the comparison has at a key, or null: a metric may be called `constructor`. */
function at(object, key) {
  return Object.hasOwn(object, key) ? object[key] : null;
}

/** Every value once, in the order in which they come. */
function unique(values) {
  return [...new Set(values)];
}

/** How many, in words: 1 run, 2 runs. */
function count(number, noun) {
  return `${formatNumber(number, 0)} ${noun}${number === 1 ? "" : "s"}`;
}
