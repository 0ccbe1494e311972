// Grey: benign rounds. Ink with dots: rounds with something planted. Dashes: where a round pauses.

/* global uPlot, PANELS */

function colour(name) {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--rule") }, ticks: { stroke: colour("--rule") } };
const line = (name, more) => ({ stroke: colour(name), width: 1, points: { show: false }, ...more });

document.querySelectorAll(".plot").forEach((place, number) => {
  const panel = PANELS[number];
  const edges = [panel.low, panel.high].filter((edge) => edge.some((value) => value !== null));
  const series = [
    ...edges.map((values) => [line("--warn", { dash: [6, 4], width: 1.5 }), values]),
    ...panel.benign.map((values) => [line("--rule-firm"), values]),
    ...panel.planted.map((values) => [line("--bad", { width: 2.5, points: { show: true, size: 6 } }), values]),
  ];
  const plantedHere = (plot) => {
    const x = plot.valToPos(panel.planted_at, "x", true);
    plot.ctx.fillStyle = colour("--ink-soft");
    plot.ctx.fillRect(x, plot.bbox.top, devicePixelRatio, plot.bbox.height);
  };
  new uPlot(
    {
      width: place.clientWidth,
      height: 220,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false } },
      axes: [{ ...axis, values: (_plot, steps) => steps.map((step) => `step ${step}`), splits: () => panel.steps }, axis],
      series: [{}, ...series.map(([options]) => options)],
      hooks: { draw: [plantedHere] },
    },
    [panel.steps, ...series.map(([, values]) => values)],
    place,
  );
});
