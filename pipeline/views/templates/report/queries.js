// ---- queries

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

function chosen({ items, values: [a, b] }) {
  const wanted = state.text.trim().toLowerCase();
  const named = new Set(items.names.flatMap((name, label) => (name.toLowerCase() === wanted ? [label] : [])));
  const fits = (item) => {
    if (!wanted) return true;
    if (named.size) return items.labels[item].some((label) => named.has(label));
    const names = items.labels[item].map((label) => items.names[label]);
    return [items.paths[item], ...names].some((text) => text.toLowerCase().includes(wanted));
  };
  const [low, high] = [Number(state.low) || 0, state.high === "" ? Infinity : Number(state.high)];
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

// What a query is judged by: the chosen metric, or AP where its values are not kept, or the dataset does not have it.
function measure() {
  const metric = metricOn(state.dataset);
  const known = DATA.stored.includes(metric) && RUNS.every((run) => valueOf(run, state.dataset) !== null);
  return known ? DATA.metrics[metric] : "AP";
}

// The limits that queries are chosen by go as far as what they are judged by.
function showMeasure() {
  for (const name of document.querySelectorAll("[data-measure]")) write(name, measure());
  for (const option of document.querySelectorAll("option[data-of-measure]")) write(option, option.dataset.ofMeasure.replace("{}", measure()));
  const most = DATA.most[measure()];
  for (const limit of byId("choice").querySelectorAll("input[type=number]")) Object.assign(limit, { max: most, step: most / 20 });
}

async function valuesOf(dataset, run, name) {
  if (name === "AP") return load(`${dataset}/${run}/ap`);
  return (await load(`${dataset}/${run}/metrics`))[name] ?? load(`${dataset}/${run}/ap`);
}

// All that is shown comes from one answer, to what was asked for last: whatever is late is dropped whole.
let turn = 0;
async function answer(first) {
  const mine = ++turn;
  byId("queries-of").setAttribute("aria-busy", "true");
  const { dataset, query } = state;
  const [runs, name] = [runsAsked(), measure()];
  const [items, ...values] = await Promise.all([load(`${dataset}/items`), ...runs.map((run) => valuesOf(dataset, run, name))]);
  const places = new Map(items.queries.map((item, place) => [item, place]));
  if (mine !== turn) return null;
  const asked = first ? chosen({ items, values })[0] : places.get(Number(query === "" ? Number.NaN : query));
  const place = asked ?? 0;
  const chunk = Math.floor(place / items.chunk);
  const chunks = items.queries.length ? await Promise.all(runs.map((run) => load(`${dataset}/${run}/${chunk}`))) : [];
  if (mine !== turn) return null;
  const rankings = chunks.map((found) => found[place % items.chunk]);
  return { dataset, runs, name, items, values, places, place, rankings };
}

function showGrid(found) {
  const { items, name, values } = found;
  const places = chosen(found);
  const pages = Math.max(1, Math.ceil(places.length / DATA.grid));
  const page = Math.min(Math.max(1, Number.parseInt(state.page, 10) || 1), pages);
  state.page = String(page);
  byId("grid").replaceChildren(
    ...places.slice((page - 1) * DATA.grid, page * DATA.grid).map((place) => {
      const note = `${name} ${values.map((known) => four(known[place])).join(", ")}`;
      return make("li", {}, tile(found, items.queries[place], "", note));
    }),
  );
  write(byId("place"), `page ${page} of ${pages}, ${places.length} of ${items.queries.length} queries`);
  byId("before").disabled = page === 1;
  byId("after").disabled = page === pages;
  if (byId("labels").dataset.of !== found.dataset) {
    byId("labels").dataset.of = found.dataset;
    byId("labels").replaceChildren(...items.names.slice(0, 1000).map((value) => make("option", { value })));
  }
}

function showQuery(found) {
  const { items, runs, name, values, place, rankings } = found;
  const item = items.queries[place];
  state.query = String(item);
  write(byId("asked-name"), `Query ${item}: ${items.paths[item]}`);
  byId("asked-tile").replaceChildren(tile(found, item, "query", "query", { asks: false }));
  byId("rankings").replaceChildren(
    ...runs.map((run, side) => {
      const [found_, scores, hits] = rankings[side];
      const list = make("ol", { class: "found strip", "aria-label": `found by ${runTitle(run)}`, tabindex: phone.matches ? "0" : null });
      found_.forEach((one, rank) => {
        const words = hits[rank] ? { mark: "✓", meaning: "hit" } : { mark: "✗", meaning: "miss" };
        list.append(make("li", {}, tile(found, one, words.meaning, `${rank + 1}. ${four(scores[rank])}`, words)));
      });
      return make("div", {}, make("h3", {}, `${runTitle(run)}: ${name} ${four(values[side][place])}`), list);
    }),
  );
  const said = runs.map((run, side) => `${name} ${four(values[side][place])} by ${runTitle(run)}`);
  write(byId("status"), `${nameOf(items, item)}: ${said.join(", ")}`);
  together([...byId("rankings").querySelectorAll("ol")]);
}

// Where rankings are strips, the same ranks stay one below the other.
function together(strips) {
  for (const one of strips) {
    one.addEventListener("scroll", () => {
      for (const other of strips) {
        if (other.scrollLeft !== one.scrollLeft) other.scrollLeft = one.scrollLeft;
      }
    });
  }
}

async function showQueries({ focus = false, first = false } = {}) {
  showMeasure();
  try {
    const found = await answer(first);
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
