// ---- tables

// Sort the rows of a body by a column; those without a value come last.
function sortRows(table, column, direction) {
  const headers = [...table.tHead.rows[0].cells];
  for (const one of headers) one.removeAttribute("aria-sort");
  headers[column].setAttribute("aria-sort", direction);
  const rows = [...table.tBodies[0].rows];
  const values = new Map(rows.map((row) => [row, row.cells[column].dataset.value]));
  const sign = direction === "ascending" ? 1 : -1;
  const numeric = isNumeric(values);
  rows.sort((one, two) => {
    const [left, right] = [values.get(one), values.get(two)];
    if (left === "" || right === "") return (left === "") - (right === ""); // none: last
    return sign * (numeric ? Number(left) - Number(right) : left.localeCompare(right));
  });
  table.tBodies[0].append(...rows);
}

function isNumeric(values) {
  return [...values.values()].every((value) => value === "" || Number.isFinite(Number(value)));
}

// Numbers begin with the largest, names with A.
function nextDirection(table, column) {
  const values = new Map([...table.tBodies[0].rows].map((row) => [row, row.cells[column].dataset.value]));
  const [first, other] = isNumeric(values) ? ["descending", "ascending"] : ["ascending", "descending"];
  return table.tHead.rows[0].cells[column].getAttribute("aria-sort") === first ? other : first;
}

function sortable(table, sorted = () => {}) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const direction = nextDirection(table, column);
      sortRows(table, column, direction);
      sorted(column, direction);
    });
  });
}

// ---- the comparative table

// Whether what is chosen is the metric by which runs on a dataset are told apart.
function isHeadline(dataset) {
  return metricOn(dataset) === DATA.headlines[dataset];
}

// What random rankings and intervals over queries are is loaded when another metric is chosen.
async function showTable() {
  const { metric } = state;
  fillTable({});
  if (DATA.datasets.every(isHeadline)) return say("table", "");
  try {
    const found = await Promise.all(DATA.datasets.map((dataset) => load(`${dataset}/metrics`)));
    if (metric === state.metric) fillTable(Object.fromEntries(DATA.datasets.map((dataset, place) => [dataset, found[place]])));
    say("table", "");
  } catch (error) {
    say("table", error.message);
  }
}

function valueOf(run, dataset) {
  return DATA.runs[run].found[dataset].metrics[metricOn(dataset)] ?? null;
}

// An interval is shown only where it is about what was asked for.
function endsOf(run, dataset, measured) {
  const { intervals } = DATA.runs[run].found[dataset];
  if (isHeadline(dataset)) return intervals[state.about || "tested"] ?? null;
  const known = measured[dataset]?.runs[run][DATA.metrics[metricOn(dataset)]] ?? null;
  return ["", "queries"].includes(state.about) ? known : null;
}

// Whether the table shows what was tested: by another name than "what tests are about" too.
function isTested() {
  if (!DATA.datasets.every(isHeadline)) return false;
  const same = ({ intervals: { tested, [state.about]: ends } }) => ends && ends.every((end, side) => Math.abs(end - tested[side]) < 1e-9);
  return state.about === "" || RUNS.every((run) => Object.values(DATA.runs[run].found).every(same));
}

function chanceOf(dataset, measured) {
  if (isHeadline(dataset)) return DATA.runs[RUNS[0]].found[dataset].random;
  return measured[dataset]?.chance[DATA.metrics[metricOn(dataset)]] ?? null;
}

function fillTable(measured) {
  const table = byId("comparison");
  const tested = isTested();
  for (const dataset of DATA.datasets) {
    const best = Math.max(...RUNS.map((run) => valueOf(run, dataset) ?? -1));
    const chance = chanceOf(dataset, measured);
    for (const run of RUNS) {
      const [value, ends] = [valueOf(run, dataset), endsOf(run, dataset, measured)];
      const like = { best: tested && DATA.runs[run].found[dataset].alike, chance: ends && chance !== null && ends[0] <= chance };
      fillCell(cellOf(table, run, dataset), value, ends, value === best, like);
    }
    fillCell(cellOf(table, "", dataset), chance, null, false, {});
    write(headOf(table, dataset), datasetTitle(dataset) + (state.metric === OWN ? ` (${metricOn(dataset)})` : ""));
  }
  if (byId("mean-column")) fillMeans(table, measured, tested);
  write(byId("caption"), captionOf());
  const [column, direction] = state.sort.split(" ");
  if (table.tHead.rows[0].cells[column] && direction) sortRows(table, Number(column), direction);
}

function cellOf(table, run, column) {
  const row = [...table.querySelectorAll("tr[data-run]")].find((one) => one.dataset.run === run);
  return [...row.cells].find((cell) => cell.dataset.column === column);
}

function headOf(table, dataset) {
  return [...table.tHead.rows[0].cells].find((cell) => cell.dataset.column === dataset).querySelector("button");
}

function fillMeans(table, measured, tested) {
  const means = new Map(RUNS.map((run) => [run, meanOver((dataset) => shareOf(dataset, valueOf(run, dataset)))]));
  const best = Math.max(...[...means.values()].map((value) => value ?? -1));
  for (const run of RUNS) {
    const { low, high, alike, relative } = DATA.runs[run].mean;
    const [value, ends] = [means.get(run), tested ? [low, high] : null];
    fillCell(cellOf(table, run, " mean"), value, ends, value === best, { best: tested && alike });
    const share = DATA.datasets.every(isHeadline) ? relative : value === null || best <= 0 ? null : value / best;
    const cell = cellOf(table, run, " share");
    cell.dataset.value = share ?? "";
    cell.classList.toggle("best", value === best);
    write(cell, share === null ? "–" : `${fixed(100 * share, 2)} %`);
  }
  fillCell(cellOf(table, "", " mean"), meanOver((dataset) => shareOf(dataset, chanceOf(dataset, measured))), null, false, {});
  write(byId("mean-column").querySelector("button"), meanName());
}

function meanName() {
  return state.metric === OWN ? "mean metric" : `mean ${state.metric}`;
}

// In means a metric is divided by the largest value that it can have.
function shareOf(dataset, value) {
  return value === null ? null : value / mostOf(dataset);
}

function meanOver(get) {
  const values = DATA.datasets.map(get);
  return values.includes(null) ? null : mean(values);
}

function fillCell(cell, value, ends, best, like) {
  cell.dataset.value = value ?? "";
  const parts = [make("span", best ? { class: "best" } : {}, value === null ? "–" : four(value))];
  if (ends) parts.push(" ", make("span", { class: "interval" }, `[${fixed(ends[0], 3)}, ${fixed(ends[1], 3)}]`));
  for (const [mark, meaning] of [[like.best && "~", "the best"], [like.chance && "?", "a random ranking"]]) {
    if (!mark) continue;
    const words = `not distinguishable from ${meaning}`;
    parts.push("\u00a0", make("span", { "aria-hidden": "true", title: words }, mark), make("span", { class: "hidden" }, words));
  }
  cell.replaceChildren(...parts);
}

function captionOf() {
  const { about } = state;
  const metric = state.metric === OWN ? "Each dataset's own metric" : state.metric;
  const doubtful = "?: the interval holds what a random ranking is expected to give, or is below it.";
  if (isTested()) return DATA.caption;
  if (DATA.datasets.every(isHeadline)) {
    return `${metric} with its 95 % interval, about ${others[about]}; none where there are too few. Differences were not tested for these. ${doubtful}`;
  }
  if (!DATA.stored.includes(state.metric)) return `${metric}, of which no values of single queries are kept: without intervals.`;
  const tested = [...new Set(Object.values(DATA.headlines))].join(", ");
  if (!["", "queries"].includes(about)) return `${metric}. Intervals about ${others[about]} are there for ${tested} only.`;
  return `${metric} with its 95 % interval, about ${others.queries}: narrower than one about other classes. Differences were tested for ${tested} only. ${doubtful}`;
}
