// Plots: a line a group, a band of one standard deviation around it, and its values where the pointer is.

const LETTER = 6.2; // Pixels of a letter of an axis, on average.
const MARKED = 30; // Lines of fewer points have them marked.
const CROSS = "m-3.5 -3.5 7 7m0 -7 -7 7";

/**
 * A figure that is drawn as wide as there is room.
 *
 * A line has a `group` and `points` of x, mean, standard deviation and number of runs. `levels` are the names of levels
 * that are drawn across. `places` are names for x = 0, 1, 2, ..., where these are no numbers but buckets.
 */
function plot({ title, x, lines, levels = {}, places = null }, groups) {
  const note = element("span", { class: "note" });
  const canvas = element("div", { class: "canvas" });
  let width = 0;
  const draw = () => {
    if (width === 0) return;
    const shown = lines.filter((line) => groups.isShown(line.group));
    const layout = layOut(shown, { levels, places, x, width });
    note.textContent = notesOf(shown, layout);
    const picture = pictureOf(shown, layout, groups, title);
    const tip = element("div", { class: "tip", role: "status", hidden: "" });
    canvas.replaceChildren(picture, tip);
    followPointer(picture, tip, shown, layout, groups);
  };
  new ResizeObserver(([entry]) => {
    const found = Math.round(entry.contentRect.width);
    if (found === width) return;
    width = found;
    draw();
  }).observe(canvas);
  groups.listen(draw);
  return element("figure", {}, element("figcaption", {}, element("strong", {}, title), " ", note), canvas);
}

/** Sizes and axes of a plot of these lines. */
function layOut(lines, { levels, places, x, width }) {
  const height = Math.round(Math.min(320, Math.max(210, width * 0.6)));
  const points = lines.flatMap((line) => line.points.filter(([, mean]) => isDrawable(mean)));
  const means = [...points.map(([, mean]) => mean), ...Object.values(levels).filter(isDrawable)];
  const ends = points.flatMap(([, mean, sd]) => (isDrawable(sd) ? [mean - sd, mean + sd] : []));
  const logarithmic = isWide(means);
  const [lowest] = extent(means);
  const rows = [height - 40, 12];
  const y = logarithmic
    ? logarithmicAxis([...means, ...ends.filter((end) => end > lowest)], rows, 6)
    : linearAxis([...means, ...ends], rows, Math.floor(height / 50), { margin: 0.04 });
  const left = 12 + LETTER * Math.max(1, ...y.ticks.map(({ text }) => text.length));
  const columns = [left + 4, width - 12];
  const found = places === null ? lines.flatMap((line) => line.points.map(([at]) => at)) : [-0.3, places.length - 0.7];
  const across = linearAxis(found, columns, Math.max(2, Math.floor((width - left) / 65)));
  if (places !== null) across.ticks = placeTicks(places, across.place, columns);
  return { width, height, left, columns, rows, across, y, logarithmic, levels, places, x };
}

/** Names of places, as many as there is room for. */
function placeTicks(places, place, [from, to]) {
  const longest = LETTER * Math.max(...places.map((name) => name.length)) + 8;
  const every = Math.max(1, Math.ceil((longest * places.length) / (to - from)));
  return places.map((text, at) => ({ at: place(at), text })).filter((_, at) => at % every === 0);
}

function notesOf(lines, { logarithmic }) {
  const diverged = lines.some((line) => line.points.some(([, mean]) => mean !== null && !isDrawable(mean)));
  const notes = [...(logarithmic ? ["logarithmic axis"] : []), ...(diverged ? ["× not finite"] : [])];
  return lines.length === 0 ? "no group is shown" : notes.join("; ");
}

function pictureOf(lines, layout, groups, label) {
  const shape = { class: "plot", role: "img", "aria-label": label, tabindex: "0" };
  return drawn(
    "svg",
    { ...shape, viewBox: `0 0 ${layout.width} ${layout.height}` },
    ...axes(layout),
    ...lines.map((line) => band(line, layout, groups)).filter((found) => found !== null),
    ...Object.entries(layout.levels).filter(([, level]) => isDrawable(level)).map((level) => levelLine(level, layout)),
    ...lines.flatMap((line) => curve(line, layout, groups)),
  );
}

function axes({ left, columns, rows, width, height, across, y, x }) {
  const [bottom, top] = rows;
  const text = (attributes, content) => drawn("text", attributes, content);
  return [
    ...y.ticks.map(({ at }) => drawn("path", { class: "grid", d: `M${left} ${at}H${width - 8}` })),
    ...y.ticks.map((tick) => text({ x: left - 6, y: tick.at + 4, "text-anchor": "end" }, tick.text)),
    drawn("path", { class: "axis", d: `M${left} ${top - 4}V${bottom}H${width - 8}` }),
    ...across.ticks.map(({ at }) => drawn("path", { class: "axis", d: `M${at} ${bottom}v4` })),
    ...across.ticks.map((tick) => {
      // At the right end, half of a long number would be cut off.
      const half = (LETTER * tick.text.length) / 2;
      return text({ x: Math.min(tick.at, width - half), y: bottom + 17, "text-anchor": "middle" }, tick.text);
    }),
    text({ x: (columns[0] + columns[1]) / 2, y: height - 6, "text-anchor": "middle" }, x),
  ];
}

/** Runs of points that can be drawn, without the gaps between them. */
function stretches(points) {
  const found = [[]];
  for (const point of points) {
    if (isDrawable(point[1])) found.at(-1).push(point);
    else if (found.at(-1).length > 0) found.push([]);
  }
  return found.filter((stretch) => stretch.length > 0);
}

/** The path through places of points. */
function through(points, place) {
  return points.map((point) => place(point).map((value) => value.toFixed(1)).join(" ")).join("L");
}

/** One standard deviation to both sides of a line, or null where no point has one. */
function band({ group, points }, { across, y }, groups) {
  const spread = stretches(points.map(([x, mean, sd]) => [x, mean, isDrawable(sd) ? sd : 0]));
  if (!spread.flat().some(([, , sd]) => sd > 0)) return null;
  const side = (sign) => ([x, mean, sd]) => [across.place(x), y.place(mean + sign * sd)];
  const outlines = spread.map((found) => `M${through(found, side(1))}L${through(found.toReversed(), side(-1))}Z`);
  return drawn("path", { class: `band ${groups.look(group)}`, d: outlines.join("") });
}

/** A line, its points where they are few, and crosses at the upper edge where a value is not finite. */
function curve({ group, points }, { across, y, rows }, groups) {
  const place = ([x, mean]) => [across.place(x), y.place(mean)];
  const found = stretches(points);
  const line = drawn("path", {
    class: `line ${groups.look(group)}`,
    d: found.map((stretch) => `M${through(stretch, place)}`).join(""),
  });
  const alone = points.length < MARKED ? found : found.filter((stretch) => stretch.length === 1);
  const marks = alone.flat().map((point) => {
    const [cx, cy] = place(point);
    return drawn("circle", { class: `mark ${groups.look(group)}`, cx, cy, r: 2.5 });
  });
  const diverged = points.filter(([, mean]) => mean !== null && !isDrawable(mean));
  const crosses = diverged.map(([x]) =>
    drawn("path", { class: `cross ${groups.look(group)}`, d: `M${across.place(x)} ${rows[1]}${CROSS}` }),
  );
  return [line, ...marks, ...crosses];
}

function levelLine([name, level], { left, width, y }) {
  const at = y.place(level);
  const text = drawn("text", { x: width - 10, y: at < 26 ? at + 13 : at - 4, "text-anchor": "end" }, name);
  return drawn("g", { class: "level" }, drawn("path", { d: `M${left} ${at}H${width - 8}` }), text);
}
