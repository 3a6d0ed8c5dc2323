// ---- curves

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axisOf(more) {
  return { gridColor: color("--line"), gridOpacity: 0.5, labelColor: color("--text"), titleColor: color("--text"), ...more };
}

// What all charts share: a colour and a mark for each run, as in the figures.
function channels(looks) {
  const domain = looks.map((look) => runTitle(look.run));
  const of = (range) => ({ field: "run", type: "nominal", legend: null, scale: { domain, range } });
  return {
    color: of(looks.map((look) => (dark.matches ? look.dark : look.light))),
    shape: of(looks.map((look) => look.mark)),
  };
}

function whole(description, layer, more) {
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description,
    width: "container",
    height: 380,
    background: null,
    layer,
    config: { view: { stroke: color("--line") } },
    ...more,
  };
}

// Of each kind of chart: where a point stands, how high, and in what words. Chance is one value, or one a point.
const kinds = {
  precision: {
    name: "curves",
    x: () => ({ title: "recall", scale: { domain: [0, 1] }, axis: axisOf({ values: RECALL }) }),
    y: "interpolated precision",
    steps: () => RECALL,
    step: (at) => at.toFixed(1),
    of: (found, run) => {
      const { precision, intervals } = found.runs[run];
      const { low, high } = state.about ? (intervals[state.about] ?? {}) : found.runs[run];
      return { values: precision, low, high };
    },
    chance: (found) => RECALL.map(() => found.chance),
    said: (found, run) => {
      const about = state.about || found.runs[run].population;
      const known = !state.about || state.about in found.runs[run].intervals;
      const interval = known ? `with its 95 % interval${about ? `, about ${others[about]}` : ""}` : `without interval: there is too little of what it would be about`;
      return `Interpolated precision on ${datasetTitle(state.dataset)}, mean over queries, ${interval}. Dashed: the expected precision of a random ranking, not interpolated.`;
    },
  },
  recall: {
    name: "hits",
    x: (found) => ({ title: "k", scale: { type: "log", domain: [1, Math.max(2, ...found.k)] }, axis: axisOf({ values: found.k.filter((k) => /^[125]0*$/.test(k)), format: "d" }) }),
    y: "recall@k: share of queries with a hit",
    steps: (found) => found.k,
    step: (at) => String(at),
    of: (found, run) => {
      const { share, low, high } = found.runs[run];
      return ["", "queries"].includes(state.about) ? { values: share, low, high } : { values: share };
    },
    chance: (found) => found.chance,
    said: () => {
      const interval = ["", "queries"].includes(state.about) ? `with its 95 % interval, about ${others.queries}` : `without interval: there is one about ${others.queries} only`;
      return `Recall@k on ${datasetTitle(state.dataset)}, the share of queries with a positive among the first k, ${interval}. Dashed: what a random ranking is expected to give.`;
    },
  },
};

function chart(looks, found, kind) {
  const steps = kind.steps(found);
  const values = looks.flatMap(({ run }) => {
    const curve = kind.of(found, run);
    return steps.map((at, place) => ({
      run: runTitle(run), at, value: curve.values[place], low: curve.low?.[place] ?? null, high: curve.high?.[place] ?? null,
    }));
  });
  const random = kind.chance(found).map((value, place) => ({ at: steps[place], value }));
  const { color: colors, shape } = channels(looks);
  const x = { field: "at", type: "quantitative", ...kind.x(found) };
  const y = { field: "value", type: "quantitative", title: kind.y, scale: { domain: [0, 1] }, axis: axisOf({}) };
  const tooltip = [
    { field: "run" }, { field: "at", title: x.title }, { field: "value", format: ".4f", title: kind.y.split(":")[0] },
    { field: "low", format: ".4f", title: "from" }, { field: "high", format: ".4f", title: "to" },
  ];
  return whole(`${kind.y} against ${x.title} on ${datasetTitle(state.dataset)}: ${looks.map((look) => runTitle(look.run)).join(", ")}`, [
    { mark: { type: "area", opacity: 0.12 }, encoding: { x, color: colors, y: { field: "low", type: "quantitative" }, y2: { field: "high" } } },
    { name: "chance", data: { values: random }, mark: { type: "line", strokeDash: [6, 4], strokeWidth: 1.5, color: color("--quiet") }, encoding: { x, y } },
    { name: "runs", mark: { type: "line", strokeWidth: 2 }, encoding: { x, color: colors, y } },
    { name: "points", mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { x, color: colors, y, shape, tooltip } },
  ], { data: { values } });
}

const drawn = new Map();
let drawing = Promise.resolve();
function draw(part, now) {
  // One after the other, each of what is chosen by then: the last one asked for stays.
  drawing = drawing.then(now).then(
    () => say(part, ""),
    (error) => say(part, error.message),
  );
}

async function embed(id, specification) {
  if (typeof window.vegaEmbed === "undefined") {
    throw new Error("vega.js cannot be read: keep the folder of this page together, or run dvc repro page");
  }
  drawn.get(id)?.finalize();
  drawn.set(id, await window.vegaEmbed(`#${id}`, specification, { actions: false, renderer: "svg" }));
}

function drawCurves() {
  draw("curves", curvesNow);
}

async function curvesNow() {
  const { dataset, chart: chosenKind } = state;
  const kind = kinds[chosenKind];
  const found = await load(`${dataset}/${kind.name}`);
  if (dataset !== state.dataset || chosenKind !== state.chart) return; // the next one is on its way
  const looks = looksShown();
  fillNumbers(looks, found, kind);
  write(byId("chart-said"), kind.said(found, RUNS[0]));
  await embed("chart", chart(looks, found, kind));
}

function fillNumbers(looks, found, kind) {
  const number = (value) => make("td", {}, value === null ? "–" : four(value));
  const line = (name, values) => make("tr", {}, make("th", { scope: "row" }, name), ...values.map(number));
  const heads = kind.steps(found).map((at) => make("th", { scope: "col" }, kind.step(at)));
  byId("numbers").replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "run"), ...heads)),
    make("tbody", {}, ...looks.map(({ run }) => line(runTitle(run), kind.of(found, run).values))),
    make("tfoot", {}, line("random ranking", kind.chance(found))),
  );
}
