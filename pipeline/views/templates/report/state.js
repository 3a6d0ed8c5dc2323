// ---- what is chosen, and its trace in the address

// The metric by which runs on a dataset are told apart, where the chosen one is that of each dataset.
const OWN = "each dataset's own";

// The runs that are shown at first: the best and the second best; of equal ones the first.
function leading(dataset) {
  const value = (run) => DATA.runs[run].found[dataset].metrics[DATA.headlines[dataset]];
  const [a, b = ""] = [...RUNS].sort((one, two) => value(two) - value(one));
  return { a, b };
}

const usual = {
  dataset: DATA.datasets[0],
  ...leading(DATA.datasets[0]),
  query: "", // the number of an item; none: the first query
  metric: new Set(Object.values(DATA.headlines)).size > 1 ? OWN : DATA.headlines[DATA.datasets[0]],
  about: "", // what intervals are about; none: what the tests are about
  sort: "", // of the table: a column by its number, and a direction
  classes: "", // their order: a column, and a direction
  chart: "precision",
  cost: RUNS.some((run) => DATA.runs[run].cost.speed !== null) ? "speed" : "bytes", // of features made elsewhere
  worth: "dataset", // what the charts of costs have: the metric on the dataset, or its mean over all
  text: "",
  low: "0",
  high: "", // none: however high
  order: "number",
  page: "1",
  hidden: "",
};
const state = { ...usual };
const always = ["dataset", "a", "b", "query"];
// What has few values has one of them.
const allowed = {
  dataset: DATA.datasets,
  a: RUNS,
  b: ["", ...RUNS],
  metric: [OWN, ...Object.keys(DATA.metrics)],
  about: ["", "classes", "images", "queries"],
  chart: ["precision", "recall"],
  cost: ["speed", "latency", "flops", "bytes"],
  worth: ["dataset", "mean"],
  order: ["number", "worst", "best", "behind", "ahead"],
};
const others = {
  classes: "other classes like these, each with its images",
  images: "other images of these classes",
  queries: "other queries like these, against this very gallery",
};

function address() {
  const said = Object.entries(state).filter(([name, value]) => always.includes(name) || value !== usual[name]);
  return `#${new URLSearchParams(said)}`;
}

function readAddress() {
  const given = new URLSearchParams(window.location.hash.slice(1));
  if (!given.has("dataset")) return false;
  const dataset = allowed.dataset.includes(given.get("dataset")) ? given.get("dataset") : usual.dataset;
  const unsaid = { ...usual, dataset, ...leading(dataset) };
  Object.assign(state, unsaid);
  for (const name of Object.keys(usual)) {
    if (name !== "dataset" && given.has(name)) state[name] = given.get(name);
    if (allowed[name] && !allowed[name].includes(state[name])) state[name] = name === "b" ? "" : unsaid[name];
  }
  return true;
}

// Another query is a step that one can go back from; a filter is not.
function writeAddress({ step = false } = {}) {
  if (window.location.hash === address()) return;
  if (step) window.location.hash = address();
  else window.location.replace(address());
}

function metricOn(dataset) {
  return state.metric === OWN ? DATA.headlines[dataset] : state.metric;
}

// The largest value that the metric on a dataset can have.
function mostOf(dataset) {
  return DATA.most[DATA.metrics[metricOn(dataset)]];
}

function hidden() {
  return new Set(state.hidden.split(","));
}

function looksShown() {
  const off = hidden();
  return DATA.looks.filter((look) => !off.has(look.run));
}

function runsAsked() {
  return state.b && state.b !== state.a ? [state.a, state.b] : [state.a];
}

function showChoice() {
  for (const control of document.querySelectorAll("[data-choice]")) control.value = state[control.dataset.choice];
  for (const box of byId("shown").querySelectorAll("input")) box.checked = !hidden().has(box.value);
  for (const option of document.querySelectorAll("[data-needs-both]")) option.disabled = runsAsked().length < 2;
}
