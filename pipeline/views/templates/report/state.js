// ---- what is chosen, and its trace in the address

const usual = {
  dataset: DATA.datasets[0],
  a: RUNS[0],
  b: RUNS.length > 1 ? RUNS[1] : "",
  query: "", // the number of an item; none: the first query
  metric: "mAP",
  about: "", // what intervals are about; none: what the tests are about
  sort: "", // of the table: a column by its number, and a direction
  classes: "", // their order: a column, and a direction
  chart: "precision",
  cost: "speed",
  text: "",
  low: "0",
  high: "1",
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
  metric: Object.keys(DATA.metrics),
  about: ["", "classes", "images", "queries"],
  chart: ["precision", "recall"],
  cost: ["speed", "flops", "bytes"],
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
  Object.assign(state, usual);
  for (const name of Object.keys(usual)) {
    if (given.has(name)) state[name] = given.get(name);
    if (allowed[name] && !allowed[name].includes(state[name])) state[name] = name === "b" ? "" : usual[name];
  }
  return true;
}

// Another query is a step that one can go back from; a filter is not.
function writeAddress({ step = false } = {}) {
  if (window.location.hash === address()) return;
  if (step) window.location.hash = address();
  else window.location.replace(address());
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
