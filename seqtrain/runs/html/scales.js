// Axes: which values they reach, where a value lies, and what is written at them.

const WIDE = 200; // Positive values that span more than this factor are shown on a logarithmic axis.
const LARGEST = 1e150; // What is larger is drawn as if it were infinite: differences of such numbers can be.

/** Whether a value has a place on an axis. */
function isDrawable(value) {
  return value !== null && Math.abs(value) < LARGEST;
}

/** The smallest and the largest value; 0 and 1 where there is none. */
function extent(values) {
  return values.length === 0
    ? [0, 1]
    : [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

/** An axis of the values, in pixels from one place to another, with about so many ticks. */
function linearAxis(values, [from, to], ticks, { margin = 0 } = {}) {
  let [low, high] = extent(values);
  const least = low;
  if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) {
    const half = Math.abs(high) * 0.1 || 0.5;
    [low, high] = [low - half, high + half];
  }
  const added = margin * (high - low);
  [low, high] = [least >= 0 && low < added ? 0 : low - added, high + added];
  const place = (value) => from + ((value - low) / (high - low)) * (to - from);
  return { place, ticks: linearTicks(low, high, ticks).map(({ value, text }) => ({ at: place(value), text })) };
}

/** An axis of the logarithms of values, all of them positive; what is below is put on its lower end. */
function logarithmicAxis(values, [from, to], ticks) {
  const [low, high] = extent(values).map(Math.log10);
  const place = (value) => from + ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (to - from);
  const every = Math.max(1, Math.ceil((high - low) / ticks));
  const found = [];
  for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power += every) {
    const text = power >= -4 && power <= 6 ? formatNumber(10 ** power, Math.max(0, -power)) : `1e${power}`;
    found.push({ at: place(10 ** power), text });
  }
  return { place, ticks: found };
}

/** Multiples of 1, 2 or 5 times a power of ten. */
function linearTicks(low, high, number) {
  const rough = (high - low) / Math.max(1, number);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const short = decimals > 5 || Math.max(Math.abs(low), Math.abs(high)) >= 1e8;
  const ticks = [];
  for (let multiple = Math.ceil(low / step - 1e-9); multiple <= high / step + 1e-9; multiple += 1) {
    const value = multiple * step;
    const text = short ? Number(value.toPrecision(6)).toExponential() : formatNumber(value || 0, decimals);
    ticks.push({ value, text });
  }
  return ticks;
}

/** Whether a linear axis would hide most of the values. */
function isWide(values) {
  const [low, high] = extent(values);
  return low > 0 && high > WIDE * low;
}
