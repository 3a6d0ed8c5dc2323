"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const RUNS = DATA.looks.map((look) => look.run);
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

  function write(node, text) {
    if (node.textContent !== text) node.textContent = text; // a status is read out whenever it is written
  }

  // Four digits as Python rounds them in tables and pictures: of two equally near ones the even one.
  function four(value) {
    const rounded = value.toFixed(4);
    const halfway = /^-?\d+\.\d{4}50*$/.test(value.toFixed(40));
    return halfway && Number(rounded.at(-1)) % 2 ? (Number(rounded) - Math.sign(value) * 1e-4).toFixed(4) : rounded;
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
  const troubles = { curves: "", queries: "" };
  function say(part, problem) {
    troubles[part] = problem;
    const all = [...new Set(Object.values(troubles))].filter(Boolean).join(" ");
    write(byId("trouble"), all);
    byId("trouble").hidden = !all;
  }

  // ---- what is chosen, and its trace in the address

  const usual = {
    dataset: DATA.datasets[0],
    a: RUNS[0],
    b: RUNS.length > 1 ? RUNS[1] : "",
    query: "", // the number of an item; none: the first query
    text: "",
    low: "0",
    high: "1",
    order: "number",
    page: "1",
    hidden: "",
  };
  const state = { ...usual };
  const always = ["dataset", "a", "b", "query"];

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
    }
    if (!DATA.datasets.includes(state.dataset)) state.dataset = usual.dataset;
    if (!RUNS.includes(state.a)) state.a = usual.a;
    if (!RUNS.includes(state.b)) state.b = "";
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

  function showChoice() {
    for (const control of document.querySelectorAll("[data-choice]")) control.value = state[control.dataset.choice];
    for (const box of byId("shown").querySelectorAll("input")) box.checked = !hidden().has(box.value);
    for (const option of document.querySelectorAll("[data-needs-both]")) option.disabled = runsAsked().length < 2;
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
    const axis = {
      values: RECALL,
      gridColor: color("--line"),
      gridOpacity: 0.5,
      labelColor: color("--text"),
      titleColor: color("--text"),
    };
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
    // One after the other, each of what is chosen by then: the last one asked for stays.
    drawing = drawing.then(drawNow).then(
      () => say("curves", ""),
      (error) => say("curves", error.message),
    );
  }

  async function drawNow() {
    const { dataset } = state;
    const curves = await load(`${dataset}/curves`);
    if (dataset !== state.dataset) return; // the next one is on its way
    const off = hidden();
    const looks = DATA.looks.filter((look) => !off.has(look.run));
    const heads = RECALL.map((recall) => make("th", { scope: "col" }, recall.toFixed(1)));
    const rows = looks.map((look) => {
      const cells = curves[look.run].precision.map((value) => make("td", {}, four(value)));
      return make("tr", {}, make("th", { scope: "row" }, look.run), ...cells);
    });
    byId("numbers").replaceChildren(
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "run"), ...heads)),
      make("tbody", {}, ...rows),
    );
    if (typeof window.vegaEmbed === "undefined") {
      throw new Error("vega.js cannot be read: keep the folder of this page together, or run dvc repro page");
    }
    drawn?.finalize();
    drawn = await window.vegaEmbed("#chart", chart(looks, curves), { actions: false, renderer: "svg" });
  }

  // ---- queries

  function runsAsked() {
    return state.b && state.b !== state.a ? [state.a, state.b] : [state.a];
  }

  function nameOf(items, item) {
    const names = items.labels[item].map((label) => items.names[label]);
    return names.length ? names.join(", ") : items.paths[item].split("/").pop();
  }

  function tile({ dataset, items, places }, item, kind, note, { mark = "", meaning = "", asks = true } = {}) {
    const name = make("span", { class: "name", title: nameOf(items, item) });
    if (mark) {
      name.append(make("span", { class: "mark", "aria-hidden": "true" }, `${mark} `), make("span", { class: "hidden" }, `${meaning}: `));
    }
    name.append(nameOf(items, item));
    const src = `thumbnails/${encodeURIComponent(dataset)}/${item}.jpg`;
    const picture = make("img", { src, alt: "", loading: "lazy", decoding: "async" });
    const content = [picture, make("span", {}, name, make("span", {}, note))];
    const attributes = { class: `tile ${kind}`, title: items.paths[item] };
    if (!asks || !places.has(item)) return make("div", attributes, ...content);
    const button = make("button", { type: "button", ...attributes }, ...content);
    button.addEventListener("click", () => {
      state.query = String(item);
      writeAddress({ step: true });
      showQueries({ focus: true });
    });
    return button;
  }

  function chosen({ items, aps: [a, b] }) {
    const wanted = state.text.trim().toLowerCase();
    const named = new Set(items.names.flatMap((name, label) => (name.toLowerCase() === wanted ? [label] : [])));
    const fits = (item) => {
      if (!wanted) return true;
      if (named.size) return items.labels[item].some((label) => named.has(label));
      const names = items.labels[item].map((label) => items.names[label]);
      return [items.paths[item], ...names].some((text) => text.toLowerCase().includes(wanted));
    };
    const [low, high] = [Number(state.low) || 0, state.high === "" ? 1 : Number(state.high)];
    const found = items.queries.flatMap((item, place) => (a[place] >= low && a[place] <= high && fits(item) ? [place] : []));
    const beside = b || a;
    const keys = {
      number: () => 0,
      worst: (place) => a[place],
      best: (place) => -a[place],
      behind: (place) => a[place] - beside[place],
      ahead: (place) => beside[place] - a[place],
    };
    const key = keys[state.order] ?? keys.number;
    return found.sort((one, two) => key(one) - key(two) || one - two);
  }

  // All that is shown comes from one answer, to what was asked for last: whatever is late is dropped whole.
  let turn = 0;
  async function answer() {
    const mine = ++turn;
    byId("queries-of").setAttribute("aria-busy", "true");
    const { dataset, query } = state;
    const runs = runsAsked();
    const [items, ...aps] = await Promise.all([load(`${dataset}/items`), ...runs.map((run) => load(`${dataset}/${run}/ap`))]);
    const places = new Map(items.queries.map((item, place) => [item, place]));
    const place = query === "" ? 0 : (places.get(Number(query)) ?? 0);
    const chunk = Math.floor(place / items.chunk);
    const chunks = items.queries.length ? await Promise.all(runs.map((run) => load(`${dataset}/${run}/${chunk}`))) : [];
    if (mine !== turn) return null;
    const rankings = chunks.map((found) => found[place % items.chunk]);
    return { dataset, runs, items, aps, places, place, rankings };
  }

  function showGrid(found) {
    const { items, aps } = found;
    const places = chosen(found);
    const pages = Math.max(1, Math.ceil(places.length / DATA.grid));
    const page = Math.min(Math.max(1, Number.parseInt(state.page, 10) || 1), pages);
    state.page = String(page);
    byId("grid").replaceChildren(
      ...places.slice((page - 1) * DATA.grid, page * DATA.grid).map((place) => {
        const note = `AP ${aps.map((values) => four(values[place])).join(", ")}`;
        return make("li", {}, tile(found, items.queries[place], "", note));
      }),
    );
    write(byId("place"), `page ${page} of ${pages}, ${places.length} of ${items.queries.length} queries`);
    byId("before").disabled = page === 1;
    byId("after").disabled = page === pages;
    if (byId("classes").dataset.of !== found.dataset) {
      byId("classes").dataset.of = found.dataset;
      byId("classes").replaceChildren(...items.names.slice(0, 1000).map((value) => make("option", { value })));
    }
  }

  function showQuery(found) {
    const { items, runs, aps, place, rankings } = found;
    const item = items.queries[place];
    state.query = String(item);
    write(byId("asked-name"), `Query ${item}: ${items.paths[item]}`);
    byId("asked-tile").replaceChildren(tile(found, item, "query", "query", { asks: false }));
    byId("rankings").replaceChildren(
      ...runs.map((run, side) => {
        const [found_, scores, hits] = rankings[side];
        const list = make("ol", { class: "found", "aria-label": `found by ${run}` });
        found_.forEach((one, rank) => {
          const words = hits[rank] ? { mark: "✓", meaning: "hit" } : { mark: "✗", meaning: "miss" };
          list.append(make("li", {}, tile(found, one, words.meaning, `${rank + 1}. ${four(scores[rank])}`, words)));
        });
        return make("div", {}, make("h3", {}, `${run}: AP ${four(aps[side][place])}`), list);
      }),
    );
    const values = runs.map((run, side) => `AP ${four(aps[side][place])} by ${run}`);
    write(byId("status"), `${nameOf(items, item)}: ${values.join(", ")}`);
  }

  async function showQueries({ focus = false } = {}) {
    try {
      const found = await answer();
      if (!found) return;
      showGrid(found);
      if (found.items.queries.length) showQuery(found);
      else write(byId("status"), "No query of this dataset has positives.");
      writeAddress();
      say("queries", "");
      if (focus) byId("asked-name").focus();
    } catch (error) {
      say("queries", error.message);
    }
    byId("queries-of").removeAttribute("aria-busy");
  }

  // ---- what the reader does

  for (const table of document.querySelectorAll("table.sortable")) sortable(table);

  for (const control of document.querySelectorAll("[data-choice]")) {
    const name = control.dataset.choice;
    control.addEventListener(control.type === "search" ? "input" : "change", () => {
      state[name] = control.value;
      state.page = "1";
      if (name === "dataset") {
        state.query = "";
        state.text = "";
        drawCurves();
      }
      if (runsAsked().length < 2 && ["behind", "ahead"].includes(state.order)) state.order = "number";
      showChoice();
      showQueries();
    });
  }
  byId("choice").addEventListener("submit", (event) => event.preventDefault());

  byId("shown").addEventListener("change", () => {
    const off = [...byId("shown").querySelectorAll("input")].filter((box) => !box.checked);
    state.hidden = off.map((box) => box.value).join(",");
    writeAddress();
    drawCurves();
  });

  for (const [id, step] of [["before", -1], ["after", 1]]) {
    byId(id).addEventListener("click", () => {
      state.page = String(Number(state.page) + step);
      showQueries();
    });
  }

  // The address keeps what is chosen, so that links within the page do not go through it.
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = byId(link.getAttribute("href").slice(1));
      target.scrollIntoView();
      target.focus();
    });
  }

  function showAll() {
    showChoice();
    drawCurves();
    showQueries();
  }
  window.addEventListener("hashchange", () => {
    if (window.location.hash !== address() && readAddress()) showAll();
  });
  dark.addEventListener("change", drawCurves);

  const place = window.location.hash.slice(1);
  if (!readAddress() && place && byId(place)) byId(place).scrollIntoView();
  showAll();
})();
