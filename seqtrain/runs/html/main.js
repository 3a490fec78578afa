// The page, from the comparison that is in it.

function heading({ title, made, command, by, groups, runs }, sections) {
  const facts = [
    ...(by.length > 0 ? [`by ${by.join(", ")}`] : []),
    count(groups.length, "group"),
    count(runs.length, "run"),
    `made ${formatTime(made)} UTC`,
  ];
  const links = sections.map(({ id, title }) => element("li", {}, element("a", { href: `#${id}` }, title)));
  return element(
    "header",
    {},
    element("h1", {}, title),
    element("p", {}, facts.join(" · ")),
    commandLine(command),
    element("nav", { "aria-label": "Sections" }, element("ul", {}, ...links)),
  );
}

function commandLine(command) {
  const code = element("code", {}, command);
  const button = element("button", { type: "button" }, "Copy");
  const say = (text) => {
    button.textContent = text;
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      say("Copied");
    } catch {
      // Some browsers do not let a file's page write to the clipboard.
      getSelection().selectAllChildren(code);
      say("Selected");
    }
  });
  return element("div", { class: "command" }, element("pre", { tabindex: "0" }, code), button);
}

/** Every group that is in a table or a plot, in the order of the groups' table. */
function labelsOf({ groups, curves, buckets }) {
  return unique([
    ...groups.map(({ label }) => label),
    ...curves.flatMap(({ lines }) => lines.map(({ group }) => group)),
    ...buckets.flatMap(({ rows }) => rows.map(({ group }) => group)),
  ]);
}

const comparison = JSON.parse(document.getElementById("comparison").textContent);
const looks = new Groups(labelsOf(comparison));
const sections = [
  groupsSection(comparison, looks),
  differencesSection(comparison),
  curvesSection(comparison, looks),
  bucketsSection(comparison, looks),
  partsSection(comparison),
  significanceSection(comparison),
  runsSection(comparison),
].filter((found) => found !== null);
document.querySelector("main").append(
  heading(comparison, sections),
  ...sections.map(({ made }) => made),
  element("footer", {}, element("p", {}, `Made with ${comparison.made_with}`)),
);
