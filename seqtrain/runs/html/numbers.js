// Numbers as text.

const FORMATS = new Map();
const MOST_DECIMALS = 6;

/** A number of the comparison, where those that are not finite are text; null stays null. */
function toNumber(value) {
  return value === null || value === undefined ? null : Number(value);
}

/** A text that is a number, as a number: settings are text, and 0.0005 is less than 0.001. */
function orNumber(text) {
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/**
 * How many decimals the numbers of a column have: as many as show four digits of the largest.
 * Null where they lie so far apart that each has to be formatted by itself.
 */
function decimalsOf(values) {
  const sizes = values.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs);
  if (sizes.length === 0) return 1;
  const largest = sizes.reduce((a, b) => Math.max(a, b));
  const smallest = sizes.reduce((a, b) => Math.min(a, b));
  const decimals = Math.max(0, 3 - Math.floor(Math.log10(largest)));
  return largest > 1000 * smallest || largest >= 1e9 || decimals > MOST_DECIMALS ? null : decimals;
}

/** A number with so many decimals or, without, in four digits; nothing for null. */
function formatNumber(value, decimals = null) {
  if (value === null) return "";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  if (decimals !== null) return grouped(value, decimals);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(2);
  return grouped(value, size === 0 ? 0 : Math.max(0, 3 - Math.floor(Math.log10(size))));
}

/** With commas between thousands. */
function grouped(value, decimals) {
  if (!FORMATS.has(decimals)) {
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    FORMATS.set(decimals, new Intl.NumberFormat("en", digits));
  }
  return FORMATS.get(decimals).format(value);
}

/** Mean ± standard deviation; the mean alone of a single run. */
function formatSpread(mean, deviation, runs, decimals = null) {
  const text = formatNumber(mean, decimals);
  return runs > 1 && deviation !== null ? `${text} ± ${formatNumber(deviation, decimals)}` : text;
}

/** Seconds as seconds, minutes or hours. */
function formatSeconds(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return formatNumber(seconds);
  if (seconds < 100) return `${seconds.toFixed(0)} s`;
  return seconds < 6000 ? `${(seconds / 60).toFixed(1)} min` : `${grouped(seconds / 3600, 1)} h`;
}

/** A date and time in ISO 8601, to the minute, in UTC where it says how far it is from it. */
function formatTime(text) {
  const zoned = /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
  return (zoned ? new Date(text).toISOString() : text).slice(0, 16).replace("T", " ");
}

/** Numbers of parameters; from the fewest to the most where there are many. */
function formatSizes(sizes) {
  const texts = unique(sizes.toSorted((a, b) => a - b)).map((size) => formatNumber(size, 0));
  return texts.length > 3 ? `${texts[0]} to ${texts.at(-1)}` : texts.join(", ");
}

/** A bucket's bounds. */
function formatRange([low, high]) {
  return low === high ? String(low) : `${low}–${high}`;
}
