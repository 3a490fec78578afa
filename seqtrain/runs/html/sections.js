// The sections of the page: each is made of the comparison, or is null where there is nothing to show.

const HIGHER = { max: "higher is better", min: "lower is better" };

/** Which group is the best by the metric that comes first: there may be several, or none. */
function bestGroups({ groups, metrics, goal }) {
  const means = groups.map(({ results }) => toNumber(at(results, metrics[0])?.mean));
  const finite = means.filter(Number.isFinite);
  const best = goal === "max" ? extent(finite)[1] : extent(finite)[0];
  return groups.filter((_, index) => finite.length > 0 && means[index] === best);
}

function groupsSection(comparison, looks) {
  const { groups, metrics, unit, baselines, notes } = comparison;
  if (groups.length === 0) return null;
  const [primary, ...others] = metrics;
  const best = bestGroups(comparison);
  const levels = Object.values(baselines).map(toNumber);
  const columns = [
    {
      head: "group",
      key: ({ label }) => label,
      cell: ({ label }) => [looks.sample(label), element("span", {}, label)],
    },
    ...(primary === undefined ? [] : [meanColumn(groups, primary, { best, levels }), bestColumn(groups, primary)]),
    ...others.map((metric) => meanColumn(groups, metric)),
    { head: "seeds", key: ({ complete }) => complete, cell: seedsCell },
    { head: "parameters", key: ({ parameters: [first] }) => first ?? null, cell: (row) => formatSizes(row.parameters) },
    ...costColumns(unit),
  ];
  const decimals = decimalsOfMeans(groups, primary, levels);
  const foot = Object.entries(baselines).map(([name, level]) => [
    `${name} (baseline)`,
    formatNumber(toNumber(level), decimals),
    ...columns.slice(2).map(() => ""),
  ]);
  const said = "Mean ± standard deviation over seeds. ";
  const marked = best.length > 0 ? `Bold: the best ${primary} (${HIGHER[comparison.goal]}). ` : "";
  const timed = comparison.parts.length > 0 ? "Training time is of all parts." : "Training time is of one run.";
  return section("Groups", [
    element("p", {}, said + marked + timed),
    ...makeTable({ label: "Groups", columns, rows: groups, foot, filter: "group" }),
    ...(notes.length > 0 ? [element("ul", { class: "notes" }, ...notes.map((note) => element("li", {}, note)))] : []),
  ]);
}

function decimalsOfMeans(groups, metric, levels) {
  return decimalsOf([...groups.map(({ results }) => toNumber(at(results, metric)?.mean)), ...levels]);
}

function meanColumn(groups, metric, { best = [], levels = [] } = {}) {
  const mean = ({ results }) => toNumber(at(results, metric)?.mean);
  const decimals = decimalsOfMeans(groups, metric, levels);
  const text = ({ results }) => {
    const found = at(results, metric);
    return found === null ? "" : formatSpread(toNumber(found.mean), toNumber(found.sd), found.n, decimals);
  };
  const cell = (group) => (best.includes(group) ? element("strong", { class: "best" }, text(group)) : text(group));
  return { head: metric, key: mean, cell };
}

function bestColumn(groups, metric) {
  const key = ({ results }) => toNumber(at(results, metric)?.best);
  const decimals = decimalsOf(groups.map(key));
  return { head: "best", key, cell: (group) => formatNumber(key(group), decimals) };
}

function seedsCell({ seeds, complete, runs }) {
  const title = seeds.length > 0 ? { title: `seeds ${seeds.join(", ")}` } : {};
  return element("span", title, complete === runs ? String(complete) : `${complete} of ${runs}`);
}

// No unit where some runs count tokens and others examples, or none was logged: such numbers are not shown.
function costColumns(unit) {
  const speed = (row) => toNumber(row.per_second);
  const seconds = (row) => toNumber(row.seconds);
  return [
    ...(unit ? [{ head: `${unit}/s`, key: speed, cell: (row) => formatNumber(speed(row), 0) }] : []),
    { head: "training", key: seconds, cell: (row) => formatSeconds(seconds(row)) },
  ];
}

function differencesSection({ groups }) {
  const settings = unique(groups.flatMap(({ differs }) => Object.keys(differs)));
  if (settings.length === 0) return null;
  const value = (setting, group) => (at(group.differs, setting) ?? []).join(", ");
  const column = (head, text) => ({ head, key: (row) => orNumber(text(row)), cell: text });
  // The more numerous go down the page.
  const down = settings.length > groups.length;
  const columns = down
    ? groups.map((group) => column(group.label, (setting) => value(setting, group)))
    : settings.map((setting) => column(setting, (group) => value(setting, group)));
  const first = down ? { head: "setting", key: (setting) => setting } : { head: "group", key: ({ label }) => label };
  const rows = down ? settings : groups;
  return section("What differs", makeTable({ label: "What differs", columns: [first, ...columns], rows }));
}

function curvesSection({ curves, metrics, baselines }, looks) {
  const drawable = curves.filter(({ lines }) => lines.length > 0);
  if (drawable.length === 0) return null;
  const figures = drawable.map(({ metric, x, lines }) =>
    plot({ title: metric, x, lines: lines.map(ofNumbers), levels: levelsOf(metric, metrics, baselines) }, looks),
  );
  const said = "Means over seeds; the bands are one standard deviation to both sides.";
  const shown = unique(drawable.flatMap(({ lines }) => lines.map(({ group }) => group)));
  return section("Learning curves", [
    element("p", {}, said),
    looks.legend(looks.labels.filter((label) => shown.includes(label))),
    element("div", { class: "figures" }, ...figures),
  ]);
}

function ofNumbers({ group, points }) {
  return { group, points: points.map((point) => point.map(toNumber)) };
}

/** Baselines are of the metric that comes first, whichever split it is of. */
function levelsOf(metric, metrics, baselines) {
  const bare = (name) => name.split("/").at(-1);
  if (metrics.length === 0 || bare(metric) !== bare(metrics[0])) return {};
  return Object.fromEntries(Object.entries(baselines).map(([name, level]) => [name, toNumber(level)]));
}

function bucketsSection({ buckets, metrics, baselines }, looks) {
  const drawable = buckets.filter(({ rows }) => rows.length > 0);
  if (drawable.length === 0) return null;
  const shown = unique(drawable.flatMap(({ rows }) => rows.map(({ group }) => group)));
  const parts = drawable.map((part) => {
    const places = part.buckets.map(formatRange);
    const lines = part.rows.map(({ group, values }) => ({
      group,
      points: values.flatMap((value, index) => (value === null ? [] : [[index, ...value.map(toNumber)]])),
    }));
    const title = `${part.metric} by ${part.attribute}`;
    const levels = levelsOf(part.metric, metrics, baselines);
    return element(
      "div",
      { class: "part" },
      plot({ title, x: part.attribute, lines, levels, places }, looks),
      ...makeTable({ label: title, columns: bucketColumns(part, places), rows: part.rows }),
    );
  });
  return section("Results by bucket", [looks.legend(looks.labels.filter((label) => shown.includes(label))), ...parts]);
}

function bucketColumns({ rows }, places) {
  const mean = (index) => ({ values }) => toNumber(values[index]?.[0]);
  const decimals = decimalsOf(rows.flatMap((row) => places.map((_, index) => mean(index)(row))));
  return [
    { head: "group", key: ({ group }) => group },
    ...places.map((head, index) => ({
      head,
      key: mean(index),
      cell: ({ values }) => (values[index] === null ? "" : formatSpread(...values[index].map(toNumber), decimals)),
    })),
  ];
}

function partsSection({ parts }) {
  if (parts.length === 0) return null;
  return section(
    "Results by part",
    parts.flatMap((part) => {
      const above = (value) => part.limit !== null && value !== null && value > part.limit;
      const said = `${part.metric} by ${part.name}, in percent. `;
      const marked = part.limit === null ? "" : `Bold with a dagger (†): above ${part.limit}.`;
      return [element("p", {}, said + marked), ...makeTable(partTable(part, above))];
    }),
  );
}

function partTable({ name, metric, parts, columns, limit }, above) {
  const value = (column, index) => toNumber(column.values[index]);
  const shown = (number) => {
    const text = formatNumber(number, 1);
    return above(number) ? element("strong", { class: "above" }, text) : text;
  };
  const means = ["mean", ...columns.map((column) => formatNumber(toNumber(column.mean), 1))];
  const failures = [`above ${limit}`, ...columns.map(({ failed }) => String(failed ?? ""))];
  return {
    label: `${metric} by ${name}`,
    columns: [
      { head: name, key: (index) => orNumber(String(parts[index])) },
      ...columns.map((column) => ({
        head: column.label,
        key: (index) => value(column, index),
        cell: (index) => shown(value(column, index)),
      })),
    ],
    rows: parts.map((_, index) => index),
    foot: limit === null ? [means] : [means, failures],
  };
}

function significanceSection({ significance }) {
  if (significance === null) return null;
  const { test, split, baseline, signatures, rows } = significance;
  const scores = unique(rows.flatMap((row) => Object.keys(row.scores)));
  const part = (score, name) => (row) => toNumber(at(row.scores, score)?.[name]);
  const columns = [{ head: "system", key: ({ system }) => system }];
  for (const score of scores) {
    const decimals = decimalsOf(rows.map(part(score, "score")));
    const [value, mean, ci, p] = ["score", "mean", "ci", "p"].map((name) => part(score, name));
    const interval = (row) => (ci(row) === null ? "" : ` (${formatSpread(mean(row), ci(row), 2, decimals)})`);
    columns.push({ head: score, key: value, cell: (row) => formatNumber(value(row), decimals) + interval(row) });
    columns.push({ head: `p of ${score}`, key: p, cell: (row) => formatNumber(p(row), p(row) === null ? null : 4) });
  }
  const resampled = rows.some((row) => scores.some((score) => part(score, "ci")(row) !== null));
  const said =
    `Paired ${test} on the ${split} split. ` +
    `p: the probability of so large a difference to ${baseline} had the two been equally good. ` +
    (resampled ? "In brackets: the mean of the resamples ± half of the 95 % interval." : "");
  const explained = Object.entries(signatures).flatMap(([score, signature]) => [
    element("dt", {}, score),
    element("dd", {}, element("code", {}, signature)),
  ]);
  return section("Significance", [
    element("p", {}, said),
    ...makeTable({ label: "Significance", columns, rows }),
    element("dl", {}, ...explained),
  ]);
}

function runsSection({ runs, metrics, unit }) {
  if (runs.length === 0) return null;
  const results = unique([...metrics, ...runs.flatMap((run) => Object.keys(run.results))]);
  const text = (name) => ({ head: name, key: (row) => row[name] });
  const columns = [
    ...["name", "group", "status"].map(text),
    { head: "seed", key: ({ seed }) => seed, cell: ({ seed }) => String(seed ?? "") },
    ...results.map((metric) => {
      const key = (run) => toNumber(at(run.results, metric));
      const decimals = decimalsOf(runs.map(key));
      return { head: metric, key, cell: (run) => formatNumber(key(run), decimals) };
    }),
    { head: "parameters", key: ({ parameters }) => parameters, cell: ({ parameters }) => formatNumber(parameters, 0) },
    ...costColumns(unit),
    { head: "started", key: ({ started }) => formatTime(started ?? "") },
    text("source"),
  ];
  return section("Runs", makeTable({ label: "Runs", columns, rows: runs, filter: "run" }));
}

function section(title, children) {
  const id = title.toLowerCase().replaceAll(" ", "-");
  return { id, title, made: element("section", { id }, element("h2", {}, title), ...children) };
}
