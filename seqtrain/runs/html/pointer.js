// The values at a place of a plot: where the pointer is or, by the arrow keys, at one place after another.

const NEAR = 0.02; // A line is read at its nearest point, if that is within this part of the plot's width.
const MOST_VALUES = 10;
const TIP_GAP = 10; // Pixels between a place and the tip beside it.

function followPointer(picture, tip, lines, layout, groups) {
  const places = unique(lines.flatMap((line) => line.points.map(([x]) => x))).sort((a, b) => a - b);
  const rule = drawn("path", { class: "rule", visibility: "hidden" });
  picture.append(rule);
  let current = -1;
  const show = (index) => {
    current = index;
    tip.hidden = index < 0;
    rule.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index < 0) return;
    const at = layout.across.place(places[index]);
    rule.setAttribute("d", `M${at} ${layout.rows[0]}V${layout.rows[1]}`);
    tip.replaceChildren(...valuesAt(places[index], lines, layout, groups));
    // To the right of the place, or to the left, if there is room.
    const room = layout.width - tip.offsetWidth;
    const left = at + TIP_GAP <= room ? at + TIP_GAP : at - TIP_GAP - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, left))}px`;
  };
  const point = (event) => {
    const box = picture.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * layout.width;
    const distances = places.map((x) => Math.abs(layout.across.place(x) - at));
    show(distances.indexOf(extent(distances)[0]));
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerdown", point);
  picture.addEventListener("pointerleave", () => show(-1));
  picture.addEventListener("blur", () => show(-1));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || places.length === 0) return;
    event.preventDefault();
    show(Math.min(places.length - 1, Math.max(0, current + step)));
  });
}

/** What the tip says of a place: its name, and of each group that has a value near it, the highest first, the value. */
function valuesAt(x, lines, layout, groups) {
  const found = lines
    .map((line) => ({ group: line.group, point: nearest(line.points, x, layout) }))
    .filter(({ point }) => point !== null)
    .sort((a, b) => compare(a.point[1], b.point[1], -1));
  const decimals = decimalsOf(found.map(({ point }) => point[1]));
  const rows = found.slice(0, MOST_VALUES).map(({ group, point: [at, mean, sd, runs] }) =>
    element(
      "tr",
      {},
      element("td", {}, groups.sample(group)),
      element("td", {}, element("div", { class: "text" }, group)),
      element("td", { class: "number" }, formatSpread(mean, sd, runs, decimals)),
      element("td", {}, at === x ? "" : `at ${formatNumber(at)}`),
    ),
  );
  const left = found.length - rows.length;
  const head = layout.places === null ? `${layout.x} ${formatNumber(x)}` : `${layout.x} ${layout.places[x]}`;
  return [
    element("strong", {}, head),
    element("table", {}, ...rows),
    ...(left > 0 ? [element("span", {}, `and ${left} more`)] : []),
  ];
}

function nearest(points, x, { across, columns }) {
  const distance = ([at]) => Math.abs(across.place(at) - across.place(x));
  const distances = points.map(distance);
  const [least] = extent(distances);
  return least <= NEAR * (columns[1] - columns[0]) ? (points[distances.indexOf(least)] ?? null) : null;
}
