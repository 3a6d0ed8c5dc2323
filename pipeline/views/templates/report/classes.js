// ---- classes

const FEW = 20; // rows that are shown before all are asked for
let allClasses = false;

async function showClasses() {
  const { dataset, a } = state;
  try {
    const [found, items] = await Promise.all([load(`${dataset}/classes`), load(`${dataset}/items`)]);
    if (dataset !== state.dataset) return;
    fillHeat(found);
    for (const part of ["instead", "alike"]) write(byId(`${part}-of`), runTitle(a));
    if (byId("instead").open) {
      const instead = await load(`${dataset}/${a}/classes`);
      if (dataset === state.dataset && a === state.a) fillInstead(found, instead);
    }
    if (byId("alike").open) {
      const pairs = await load(`${dataset}/${a}/alike`);
      if (dataset === state.dataset && a === state.a) fillAlike(dataset, items, pairs);
    }
    say("classes", "");
  } catch (error) {
    say("classes", error.message);
  }
}

// The places of classes in their order: the hardest for all runs together first, unless a column was chosen.
function classesInOrder(found) {
  const runs = Object.values(found.runs);
  const [chosen, direction] = state.classes.split(" ");
  const keys = {
    class: (place) => found.labels[place],
    queries: (place) => found.queries[place],
  };
  const key = keys[chosen] ?? (chosen in found.runs ? (place) => found.runs[chosen][place] : (place) => mean(runs.map((values) => values[place])));
  const sign = direction === "descending" ? -1 : 1;
  const compare = (one, two) => (typeof one === "string" ? one.localeCompare(two) : one - two);
  const order = found.labels.map((_, place) => place).sort((one, two) => sign * compare(key(one), key(two)) || one - two);
  return allClasses ? order : order.slice(0, FEW);
}

function fillHeat(found) {
  const [chosen, direction] = state.classes.split(" ");
  const head = (name, title) => {
    const button = make("button", { type: "button" }, title);
    button.addEventListener("click", () => sortClasses(name));
    return make("th", { scope: "col", "aria-sort": name === chosen ? direction : null }, button);
  };
  const line = (place) => make("tr", {}, classHead(found.labels[place]), make("td", {}, String(found.queries[place])), ...RUNS.map((run) => heatCell(found.runs[run][place])));
  const order = classesInOrder(found);
  byId("heat").replaceChildren(
    make("thead", {}, make("tr", {}, head("class", "class"), head("queries", "queries"), ...RUNS.map((run) => head(run, runTitle(run))))),
    make("tbody", {}, ...order.map(line)),
  );
  const some = order.length < found.labels.length;
  const words = found.labels.length ? `${order.length} of ${found.labels.length} classes of ${datasetTitle(state.dataset)}.` : "The queries of this dataset have no labels.";
  write(byId("classes-said"), words);
  byId("all-classes").hidden = !some;
}

function heatCell(value) {
  const cell = make("td", { class: "heat" }, four(value));
  cell.style.setProperty("--share", value);
  return cell;
}

// A class leads to its queries.
function classHead(label) {
  const button = make("button", { type: "button", class: "link", title: `queries of ${label}` }, label);
  button.addEventListener("click", () => {
    state.text = label;
    state.page = "1";
    showChoice();
    showQueries({ first: true, focus: true });
  });
  return make("th", { scope: "row" }, button);
}

function sortClasses(name) {
  const [chosen, direction] = state.classes.split(" ");
  const first = name === "class" || RUNS.includes(name) ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  state.classes = `${name} ${chosen === name && direction === first ? other : first}`;
  writeAddress();
  showClasses();
}

function fillInstead(found, instead) {
  const line = (place) => {
    const [shown, hits, others_] = instead[place];
    const share = shown ? `${hits} of ${shown}` : "–";
    const words = others_.map(([label, count]) => `${label} (${count})`).join(", ");
    return make("tr", {}, classHead(found.labels[place]), make("td", {}, share), make("td", { class: "wrap" }, words || "–"));
  };
  const heads = ["class", "hits", "most often found instead"].map((name) => make("th", { scope: "col" }, name));
  byId("instead-table").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...classesInOrder(found).map(line)));
}

function fillAlike(dataset, items, pairs) {
  byId("alike-pairs").replaceChildren(
    ...pairs.map(([query, item, score, hit]) => {
      const words = hit ? { mark: "✓", meaning: "hit" } : { mark: "✗", meaning: "miss" };
      const content = { dataset, items, places: new Set([query]) };
      return make("li", { class: "pair" }, tile(content, query, "", four(score)), tile(content, item, words.meaning, String(item), words));
    }),
  );
}
