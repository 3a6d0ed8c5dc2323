const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.looks.map((look) => look.run);
const runTitle = (run) => DATA.titles.runs[run];
const datasetTitle = (dataset) => DATA.titles.datasets[dataset];
const RECALL = Array.from({ length: 11 }, (_, step) => step / 10);
const byId = (id) => document.getElementById(id);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const phone = window.matchMedia("(max-width: 40rem)"); // as in look.css

// Text goes in as text, never as HTML: labels and paths come from outside.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text; // a status is read out whenever it is written
}

// Digits as Python rounds them in tables and pictures: of two equally near ones the even one.
function fixed(value, digits) {
  const rounded = value.toFixed(digits);
  const halfway = new RegExp(`^-?\\d+\\.\\d{${digits}}50*$`).test(value.toFixed(40));
  return halfway && Number(rounded.at(-1)) % 2 ? (Number(rounded) - Math.sign(value) * 10 ** -digits).toFixed(digits) : rounded;
}

function four(value) {
  return fixed(value, 4);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// Results lie in scripts beside the page: what is opened from a disk may not fetch data.
const files = new Map();
window.received = (name, content) => {
  files.get(name).whole = true;
  files.get(name).resolve(content);
};
function load(name) {
  if (!files.has(name)) {
    const file = { whole: false };
    file.promise = new Promise((resolve, reject) => {
      file.resolve = resolve;
      const script = document.createElement("script");
      script.src = `results/${name.split("/").map(encodeURIComponent).join("/")}.js`;
      const missing = () => {
        files.delete(name);
        reject(new Error(`results/${name}.js cannot be read: keep the folder of this page together, or run dvc repro page`));
      };
      script.onerror = missing;
      script.onload = () => file.whole || missing();
      document.head.append(script);
    });
    files.set(name, file);
    file.promise.catch(() => {});
  }
  return files.get(name).promise;
}

// Each part of the page says its own trouble, until it works again.
const troubles = {};
function say(part, problem) {
  troubles[part] = problem;
  const all = [...new Set(Object.values(troubles))].filter(Boolean).join(" ");
  write(byId("trouble"), all);
  byId("trouble").hidden = !all;
}
