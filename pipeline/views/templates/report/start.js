// ---- what the reader does

sortable(byId("comparison"), (column, direction) => {
  state.sort = `${column} ${direction}`;
  writeAddress();
});
for (const table of document.querySelectorAll("table.sortable")) sortable(table);

// What shows a choice, and is shown anew when it is another.
const shows = {
  dataset: () => [drawCurves(), drawCosts(), showClasses(), showQueries()],
  metric: () => [showTable(), drawCosts(), showQueries({ first: state.order !== "number" })],
  about: () => [showTable(), drawCurves()],
  chart: () => drawCurves(),
  cost: () => drawCosts(),
  worth: () => drawCosts(),
  a: () => [showClasses(), showQueries()],
  order: () => showQueries({ first: true }),
};

for (const control of document.querySelectorAll("[data-choice]")) {
  const name = control.dataset.choice;
  control.addEventListener(control.type === "search" ? "input" : "change", () => {
    const before = leading(state.dataset);
    state[name] = control.value;
    state.page = "1";
    // Who has not chosen other runs than the leading ones sees those of each dataset.
    if (name === "dataset" && before.a === state.a && before.b === state.b) Object.assign(state, leading(state.dataset));
    if (name === "dataset") Object.assign(state, { query: "", text: "", classes: "" });
    if (runsAsked().length < 2 && ["behind", "ahead"].includes(state.order)) state.order = "number";
    showChoice();
    writeAddress();
    (shows[name] ?? showQueries)();
  });
}
for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());

byId("shown").addEventListener("change", () => {
  const off = [...byId("shown").querySelectorAll("input")].filter((box) => !box.checked);
  state.hidden = off.map((box) => box.value).join(",");
  writeAddress();
  drawCurves();
  drawCosts();
});

for (const [id, step] of [["before", -1], ["after", 1]]) {
  byId(id).addEventListener("click", () => {
    state.page = String(Number(state.page) + step);
    showQueries();
  });
}

byId("all-classes").addEventListener("click", () => {
  allClasses = true;
  showClasses();
});
for (const id of ["instead", "alike"]) byId(id).addEventListener("toggle", showClasses);

// The address keeps what is chosen, so that links within the page do not go through it.
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const target = byId(link.getAttribute("href").slice(1));
    target.scrollIntoView();
    target.focus();
  });
}

// A table that goes on beyond its edge fades out there; a line above says that it can be scrolled.
function showEdge(box) {
  box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  box.previousElementSibling.hidden = box.scrollWidth <= box.clientWidth + 1;
}
const edges = new ResizeObserver((entries) => {
  for (const { target } of entries) showEdge(target.closest(".scroll"));
});
for (const box of document.querySelectorAll(".scroll")) {
  box.before(make("p", { class: "quiet further", hidden: "" }, "↔ The table is wider than the page: scroll it sideways."));
  box.addEventListener("scroll", () => showEdge(box));
  edges.observe(box);
  edges.observe(box.querySelector("table"));
}

function showAll() {
  showChoice();
  showTable();
  drawCurves();
  showQueries();
  showClasses();
  drawCosts();
}
window.addEventListener("hashchange", () => {
  if (window.location.hash !== address() && readAddress()) showAll();
});
dark.addEventListener("change", () => [drawCurves(), drawCosts()]);

const place = window.location.hash.slice(1);
if (!readAddress() && place && byId(place)) byId(place).scrollIntoView();
showAll();
