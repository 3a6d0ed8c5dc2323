// ---- what accuracy costs

const costs = {
  speed: { title: "images/s of the extraction", scale: "log", better: -1, format: ".0f", ticks: "~s" },
  latency: { title: "ms for one image alone", scale: "log", better: 1, format: ".2f", ticks: "~g", unit: 1e-3 },
  flops: { title: "GFLOP per image", scale: "symlog", better: 1, format: ".2f", ticks: "~g", unit: 1e9 },
  bytes: { title: "bytes stored of an image", scale: "log", better: 1, format: ".0f", ticks: "~s" },
};

// The front: whoever no other equals or beats in both, and beats in one.
function frontOf(points, better) {
  const beaten = (one) => points.some((other) => {
    const [cost, value] = [better * (one.cost - other.cost), other.value - one.value];
    return cost >= 0 && value >= 0 && (cost > 0 || value > 0);
  });
  return points.filter((one) => !beaten(one)).sort((one, two) => one.cost - two.cost);
}

// What is set against costs: the metric on the dataset, or its mean over all of them.
function worth() {
  const { dataset } = state;
  if (state.worth === "dataset" || DATA.datasets.length === 1) {
    const metric = metricOn(dataset);
    return { name: `${metric} on ${datasetTitle(dataset)}`, of: (run) => valueOf(run, dataset), most: mostOf(dataset) };
  }
  return { name: meanName(), of: (run) => meanOver((one) => shareOf(one, valueOf(run, one))), most: 1 };
}

function pointsOf(looks) {
  const { unit = 1 } = costs[state.cost];
  const { of } = worth();
  return looks.flatMap(({ run }) => {
    const [cost, value] = [DATA.runs[run].cost[state.cost], of(run)];
    return cost === null || value === null ? [] : [{ run: runTitle(run), cost: cost / unit, value }];
  });
}

function costChart(looks, points, front) {
  const { title, scale, format, ticks } = costs[state.cost];
  const { color: colors, shape } = channels(looks);
  const { name: measure, most } = worth();
  const x = { field: "cost", type: "quantitative", title, scale: { type: scale, nice: true }, axis: axisOf({ tickCount: 6, format: ticks }) };
  const y = { field: "value", type: "quantitative", title: measure, scale: { domain: [0, most] }, axis: axisOf({}) };
  const tooltip = [{ field: "run" }, { field: "cost", format, title }, { field: "value", format: ".4f", title: measure }];
  return whole(`${measure} against ${title}: ${looks.map((look) => runTitle(look.run)).join(", ")}`, [
    { name: "front", data: { values: front }, mark: { type: "line", strokeDash: [6, 4], color: color("--quiet") }, encoding: { x, y } },
    { name: "points", mark: { type: "point", filled: true, size: 110, opacity: 1 }, encoding: { x, y, color: colors, shape, tooltip } },
    ...(window.innerWidth > 700 ? namesBeside(points, x, y) : []),
  ], { data: { values: points } });
}

// On the side of a point where there is room.
function namesBeside(points, x, y) {
  const [least, most] = [Math.min, Math.max].map((pick) => pick(...points.map((one) => one.cost)));
  const middle = state.cost === "flops" ? (least + most) / 2 : Math.sqrt(least * most);
  const texts = (values, align, dx) => ({
    data: { values },
    mark: { type: "text", align, dx, dy: -9, color: color("--text") },
    encoding: { x, y, text: { field: "run" } },
  });
  const sides = [texts(points.filter((one) => one.cost <= middle), "left", 4), texts(points.filter((one) => one.cost > middle), "right", -4)];
  return sides.filter((side) => side.data.values.length); // Vega warns of an axis of nothing
}

function drawCosts() {
  draw("costs", async () => {
    const looks = looksShown();
    const points = pointsOf(looks);
    const front = frontOf(points, costs[state.cost].better);
    const names = front.map((one) => one.run).join(", ");
    const said = points.length ? `On the front, where no run is both better and cheaper: ${names}.` : "Of no run shown is this known.";
    write(byId("front"), said);
    byId("cost-chart").hidden = !points.length;
    if (!points.length) return;
    await embed("cost-chart", costChart(looks, points, front));
  });
}
