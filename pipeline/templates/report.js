"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const RECALL = Array.from({ length: 11 }, (_, step) => step / 10);
  const byId = (id) => document.getElementById(id);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // Text goes in as text, never as HTML: labels and paths come from outside.
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  function say(problem) {
    const place = byId("trouble");
    place.textContent = problem;
    place.hidden = !problem;
  }

  // Results lie in scripts beside the page: what is opened from a disk may not fetch data.
  const files = new Map();
  window.received = (name, content) => files.get(name).resolve(content);
  function load(name) {
    if (!files.has(name)) {
      const file = {};
      file.promise = new Promise((resolve, reject) => {
        file.resolve = resolve;
        const script = document.createElement("script");
        script.src = `results/${name.split("/").map(encodeURIComponent).join("/")}.js`;
        script.onerror = () => {
          files.delete(name);
          reject(new Error(`results/${name}.js is not there: keep the folder of this page together, or run dvc repro page`));
        };
        document.head.append(script);
      });
      files.set(name, file);
    }
    return files.get(name).promise;
  }

  // ---- what is chosen, and its trace in the address

  const state = {
    dataset: DATA.datasets[0],
    a: DATA.looks[0].run,
    b: DATA.looks.length > 1 ? DATA.looks[1].run : "",
    text: "",
    low: 0,
    high: 1,
    order: "number",
    page: 0,
    query: 0, // its place among the queries
    hidden: new Set(),
  };

  function address() {
    return new URLSearchParams({ dataset: state.dataset, a: state.a, b: state.b, query: state.query }).toString();
  }

  function readAddress() {
    const given = new URLSearchParams(window.location.hash.slice(1));
    if (!given.has("query")) return false;
    const runs = DATA.looks.map((look) => look.run);
    if (DATA.datasets.includes(given.get("dataset"))) state.dataset = given.get("dataset");
    if (runs.includes(given.get("a"))) state.a = given.get("a");
    state.b = runs.includes(given.get("b")) ? given.get("b") : "";
    state.query = Math.max(0, Number.parseInt(given.get("query"), 10) || 0);
    return true;
  }

  function showChoice() {
    for (const control of document.querySelectorAll("[data-choice]")) {
      control.value = state[control.dataset.choice];
    }
  }

  // ---- tables

  function sortable(table) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => {
        // Numbers begin with the largest, names with A.
        const rows = [...table.tBodies[0].rows];
        const values = new Map(rows.map((row) => [row, row.cells[column].dataset.value]));
        const numeric = [...values.values()].every((value) => value === "" || Number.isFinite(Number(value)));
        const first = numeric ? "descending" : "ascending";
        const other = numeric ? "ascending" : "descending";
        const direction = header.getAttribute("aria-sort") === first ? other : first;
        for (const one of headers) one.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        rows.sort((one, two) => {
          const [left, right] = [values.get(one), values.get(two)];
          if (left === "" || right === "") return (left === "") - (right === ""); // none: last
          return sign * (numeric ? Number(left) - Number(right) : left.localeCompare(right));
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  // ---- curves

  function shownLooks() {
    return DATA.looks.filter((look) => !state.hidden.has(look.run));
  }

  function chart(looks, curves) {
    const values = looks.flatMap((look) => {
      const curve = curves[look.run];
      return RECALL.map((recall, step) => ({
        run: look.run,
        recall,
        precision: curve.precision[step],
        low: curve.low[step],
        high: curve.high[step],
      }));
    });
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const runs = looks.map((look) => look.run);
    const axis = { values: RECALL, gridColor: color("--line"), gridOpacity: 0.5, labelColor: color("--text"), titleColor: color("--text") };
    const scale = { domain: [0, 1] };
    return {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      description: `Interpolated precision against recall on ${state.dataset}: ${runs.join(", ")}`,
      width: "container",
      height: 380,
      background: null,
      data: { values },
      encoding: {
        x: { field: "recall", type: "quantitative", title: "recall", scale, axis },
        color: {
          field: "run",
          type: "nominal",
          legend: null,
          scale: { domain: runs, range: looks.map((look) => (dark.matches ? look.dark : look.light)) },
        },
      },
      layer: [
        {
          mark: { type: "area", opacity: 0.12 },
          encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } },
        },
        {
          mark: { type: "line", strokeWidth: 2 },
          encoding: { y: { field: "precision", type: "quantitative", title: "interpolated precision", scale, axis } },
        },
        {
          mark: { type: "point", filled: true, size: 70, opacity: 1 },
          encoding: {
            y: { field: "precision", type: "quantitative" },
            shape: {
              field: "run",
              type: "nominal",
              legend: null,
              scale: { domain: runs, range: looks.map((look) => look.mark) },
            },
            tooltip: [
              { field: "run" },
              { field: "recall", format: ".1f" },
              { field: "precision", format: ".4f" },
              { field: "low", format: ".4f", title: "from" },
              { field: "high", format: ".4f", title: "to" },
            ],
          },
        },
      ],
      config: { view: { stroke: color("--line") } },
    };
  }

  let drawn = null;
  let drawing = Promise.resolve();
  function drawCurves() {
    drawing = drawing.then(drawNow, drawNow); // one after the other: the last one asked for stays
    return drawing;
  }

  async function drawNow() {
    const curves = await load(`${state.dataset}/curves`);
    const looks = shownLooks();
    const head = make("tr", {}, make("th", { scope: "col" }, "run"), ...RECALL.map((recall) => make("th", { scope: "col" }, recall.toFixed(1))));
    const rows = looks.map((look) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, look.run),
        ...curves[look.run].precision.map((value) => make("td", {}, value.toFixed(4))),
      ),
    );
    byId("numbers").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
    if (typeof window.vegaEmbed === "undefined") {
      say("vega.js is not there: keep the folder of this page together, or run dvc repro page");
      return;
    }
    drawn?.finalize();
    drawn = await window.vegaEmbed("#chart", chart(looks, curves), { actions: false, renderer: "svg" });
  }

  // ---- queries

  // What is shown must be what was asked for last, whatever comes in first.
  let turn = 0;
  let shown = { items: null, aps: [] };

  function runsAsked() {
    return state.b && state.b !== state.a ? [state.a, state.b] : [state.a];
  }

  function nameOf(items, item) {
    const names = items.labels[item].map((label) => items.names[label]);
    return names.length ? names.join(", ") : items.paths[item].split("/").pop();
  }

  function picture(item) {
    const folder = `thumbnails/${encodeURIComponent(state.dataset)}`;
    return make("img", { src: `${folder}/${item}.jpg`, alt: "", loading: "lazy", decoding: "async" });
  }

  function caption(items, item, note, { mark = "", meaning = "" } = {}) {
    const first = make("span", { class: "name", title: nameOf(items, item) });
    if (mark) first.append(make("span", { class: "mark", "aria-hidden": "true" }, `${mark} `), make("span", { class: "hidden" }, `${meaning}: `));
    first.append(nameOf(items, item));
    return make("span", {}, first, make("span", {}, note));
  }

  function tile(items, place, item, kind, note, words) {
    const content = [picture(item), caption(items, item, note, words)];
    if (place === undefined) return make("div", { class: `tile ${kind}`, title: items.paths[item] }, ...content);
    const button = make("button", { type: "button", class: `tile ${kind}`, title: items.paths[item] }, ...content);
    button.addEventListener("click", () => ask(place, { focus: true }));
    return button;
  }

  function chosen(items, [a, b]) {
    const wanted = state.text.trim().toLowerCase();
    const named = new Set(items.names.flatMap((name, label) => (name.toLowerCase() === wanted ? [label] : [])));
    const fits = (item) => {
      if (!wanted) return true;
      if (named.size) return items.labels[item].some((label) => named.has(label));
      const names = items.labels[item].map((label) => items.names[label]);
      return [items.paths[item], ...names].some((text) => text.toLowerCase().includes(wanted));
    };
    const places = items.queries.flatMap((item, place) =>
      a[place] >= state.low && a[place] <= state.high && fits(item) ? [place] : [],
    );
    const beside = b || a;
    const keys = {
      number: () => 0,
      worst: (place) => a[place],
      best: (place) => -a[place],
      behind: (place) => a[place] - beside[place],
      ahead: (place) => beside[place] - a[place],
    };
    const key = keys[state.order];
    return places.sort((one, two) => key(one) - key(two) || one - two);
  }

  async function showQueries() {
    const mine = ++turn;
    byId("grid").setAttribute("aria-busy", "true");
    const { dataset } = state;
    const runs = runsAsked();
    const [items, ...aps] = await Promise.all([load(`${dataset}/items`), ...runs.map((run) => load(`${dataset}/${run}/ap`))]);
    if (mine !== turn) return;
    shown = { items, aps };
    state.query = Math.min(state.query, items.queries.length - 1);
    const places = chosen(items, aps);
    const pages = Math.max(1, Math.ceil(places.length / DATA.grid));
    state.page = Math.min(state.page, pages - 1);
    const page = places.slice(state.page * DATA.grid, (state.page + 1) * DATA.grid);
    byId("grid").replaceChildren(
      ...page.map((place) => {
        const note = `AP ${aps.map((values) => values[place].toFixed(4)).join(", ")}`;
        return make("li", {}, tile(items, place, items.queries[place], "", note));
      }),
    );
    byId("place").textContent = `page ${state.page + 1} of ${pages}, ${places.length} of ${items.queries.length} queries`;
    byId("before").disabled = state.page === 0;
    byId("after").disabled = state.page >= pages - 1;
    byId("grid").removeAttribute("aria-busy");
    if (byId("classes").dataset.of !== dataset) {
      byId("classes").dataset.of = dataset;
      byId("classes").replaceChildren(...items.names.slice(0, 1000).map((value) => make("option", { value })));
    }
    await showQuery(mine);
  }

  async function showQuery(mine) {
    const { items, aps } = shown;
    const { dataset, query } = state;
    const runs = runsAsked();
    const chunk = Math.floor(query / items.chunk);
    const chunks = await Promise.all(runs.map((run) => load(`${dataset}/${run}/${chunk}`)));
    if (mine !== turn) return;
    const item = items.queries[query];
    const places = new Map(items.queries.map((one, place) => [one, place]));
    byId("asked-name").textContent = `Query ${item}: ${items.paths[item]}`;
    byId("asked-tile").replaceChildren(tile(items, undefined, item, "query", "query"));
    byId("rankings").replaceChildren(
      ...runs.map((run, side) => {
        const [found, scores, hits] = chunks[side][query % items.chunk];
        const list = make("ol", { class: "found", "aria-label": `found by ${run}` });
        found.forEach((one, rank) => {
          const [kind, words] = hits[rank] ? ["hit", { mark: "✓", meaning: "hit" }] : ["miss", { mark: "✗", meaning: "miss" }];
          list.append(make("li", {}, tile(items, places.get(one), one, kind, `${rank + 1}. ${scores[rank].toFixed(4)}`, words)));
        });
        return make("div", {}, make("h3", {}, `${run}: AP ${aps[side][query].toFixed(4)}`), list);
      }),
    );
    byId("status").textContent = `${nameOf(items, item)}: ${runs.map((run, side) => `AP ${aps[side][query].toFixed(4)} by ${run}`).join(", ")}`;
  }

  function failed(error) {
    say(error.message);
    byId("grid").removeAttribute("aria-busy");
  }

  function ask(place, { focus = false } = {}) {
    state.query = place;
    window.location.hash = address();
    showQuery(++turn).then(() => focus && byId("asked-name").focus()).catch(failed);
  }

  // ---- what the reader does

  for (const table of document.querySelectorAll("table.sortable")) sortable(table);

  for (const control of document.querySelectorAll("[data-choice]")) {
    const name = control.dataset.choice;
    control.addEventListener(control.type === "search" ? "input" : "change", () => {
      const number = name === "low" || name === "high";
      state[name] = number ? (control.value === "" ? Number(control.defaultValue) : Number(control.value)) : control.value;
      state.page = 0;
      if (name === "dataset") {
        state.query = 0;
        state.text = "";
        drawCurves().catch(failed);
      }
      if (["dataset", "a", "b"].includes(name)) window.location.hash = address();
      showChoice();
      showQueries().catch(failed);
    });
  }
  byId("choice").addEventListener("submit", (event) => event.preventDefault());

  byId("shown").addEventListener("change", (event) => {
    if (event.target.checked) state.hidden.delete(event.target.value);
    else state.hidden.add(event.target.value);
    drawCurves().catch(failed);
  });

  for (const [id, step] of [["before", -1], ["after", 1]]) {
    byId(id).addEventListener("click", () => {
      state.page += step;
      showQueries().catch(failed);
    });
  }

  window.addEventListener("hashchange", () => {
    if (window.location.hash.slice(1) === address() || !readAddress()) return;
    showChoice();
    drawCurves().catch(failed);
    showQueries().catch(failed);
  });
  dark.addEventListener("change", () => drawCurves().catch(failed));

  // So that there is an address to go back to.
  if (!readAddress() && !window.location.hash) window.location.replace(`#${address()}`);
  showChoice();
  drawCurves().catch(failed);
  showQueries().catch(failed);
})();
