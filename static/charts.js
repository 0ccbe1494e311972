// Live curves. The table beside each curve says the same and is kept up with it.

/* global uPlot */

const HEIGHT = 240;
const STROKES = ["--accent", "--warn", "--good", "--bad"];
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

// A custom property resolved to the colour that holds now, light or dark.
function colour(name) {
  const probe = document.getElementById("chart-probe");
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function addProbe() {
  const probe = document.createElement("span");
  probe.id = "chart-probe";
  probe.hidden = true;
  document.body.append(probe);
}

function font() {
  return `12px ${getComputedStyle(document.body).fontFamily}`;
}

/** Columns for uPlot: the union of all steps, then one column for each series, null where it has no point. */
function columns(curve) {
  const steps = [...new Set(curve.series.flatMap((series) => series.points.map((point) => point.step)))];
  steps.sort((a, b) => a - b);
  return [steps, ...curve.series.map((series) => {
    const values = new Map(series.points.map((point) => [point.step, point.value]));
    return steps.map((step) => values.get(step) ?? null);
  })];
}

function extent(curve) {
  const values = curve.series.flatMap((series) => series.points.flatMap((point) => [point.value, point.low, point.high]));
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return [0, 1];
  const low = Math.min(...known);
  const high = Math.max(...known);
  const room = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - room, high + room];
}

function isMeasurement(curve) {
  return curve.series.some((series) => series.points.some((point) => point.state || point.low !== null));
}

// Where the scale crosses zero, "no different from the reference" gets a line of its own.
function drawZero(plot) {
  const { ctx, bbox, scales } = plot;
  if (scales.y.min >= 0 || scales.y.max <= 0) return;
  const y = plot.valToPos(0, "y", true);
  ctx.strokeStyle = colour("--rule-firm");
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
}

// Intervals as whiskers, and a mark that is not only a colour where a look warned or failed.
function drawMarks(plot, curve) {
  const { ctx } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = 1.5 * scale;
  drawZero(plot);
  curve.series.forEach((series, index) => {
    if (!plot.series[index + 1].show) return;
    for (const point of series.points) {
      const x = plot.valToPos(point.step, "x", true);
      const y = plot.valToPos(point.value, "y", true);
      ctx.strokeStyle = plot.series[index + 1].stroke();
      if (point.low !== null || point.high !== null) {
        ctx.beginPath();
        ctx.moveTo(x, plot.valToPos(point.low ?? point.value, "y", true));
        ctx.lineTo(x, plot.valToPos(point.high ?? point.value, "y", true));
        ctx.stroke();
      }
      if (point.state === "warn" || point.state === "fail") {
        const arm = 6 * scale;
        ctx.strokeStyle = colour(point.state === "fail" ? "--bad" : "--warn");
        ctx.lineWidth = 2.5 * scale;
        ctx.beginPath();
        if (point.state === "fail") {
          ctx.moveTo(x - arm, y - arm);
          ctx.lineTo(x + arm, y + arm);
          ctx.moveTo(x - arm, y + arm);
          ctx.lineTo(x + arm, y - arm);
        } else {
          ctx.rect(x - arm, y - arm, 2 * arm, 2 * arm);
        }
        ctx.stroke();
        ctx.lineWidth = 1.5 * scale;
      }
    }
  });
  ctx.restore();
}

function options(curve, width) {
  const ink = colour("--ink-soft");
  const rule = colour("--rule");
  const axis = { stroke: ink, font: font(), grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 } };
  const dots = isMeasurement(curve);
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false }, y: { range: () => extent(curve) } },
    axes: [{ ...axis, values: (_, steps) => steps.map((step) => (Number.isInteger(step) ? step : "")) }, { ...axis, size: 52 }],
    cursor: { drag: { x: false, y: false } },
    series: [
      { label: "Step" },
      ...curve.series.map((series, index) => {
        const stroke = colour(STROKES[index % STROKES.length]);
        return {
          label: series.label,
          stroke,
          width: 2,
          dash: DASHES[index % DASHES.length],
          spanGaps: true,
          points: { show: dots || series.points.length < 3, size: 7, fill: stroke },
          value: (_, value) => (value === null ? "–" : value.toFixed(3)),
        };
      }),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, curve)] },
  };
}

function cell(row, text, number = false) {
  const td = row.insertCell();
  td.textContent = text;
  if (number) td.className = "num";
}

function fillTable(body, curve) {
  body.replaceChildren();
  for (const series of curve.series) {
    for (const point of series.points) {
      const row = body.insertRow();
      const bound = (value) => (value === null || value === undefined ? "…" : value.toFixed(3));
      const hasInterval = point.low !== null || point.high !== null;
      cell(row, series.label);
      cell(row, point.step, true);
      cell(row, point.value.toFixed(3), true);
      cell(row, hasInterval ? `${bound(point.low)} to ${bound(point.high)}` : "", true);
      cell(row, point.state ?? "");
    }
  }
  if (!body.rows.length) {
    cell(body.insertRow(), "Nothing measured yet.");
    body.rows[0].cells[0].colSpan = 5;
  }
}

class Charts {
  constructor(container) {
    this.container = container;
    this.plots = new Map();
    this.curves = JSON.parse(document.getElementById(container.dataset.series).textContent);
    this.draw();
    document.addEventListener("ratify:theme", () => this.draw());
    document.addEventListener("ratify:topic", (event) => {
      if ([container.dataset.topic, "resync"].includes(event.detail)) this.refetch();
    });
    new ResizeObserver(() => this.resize()).observe(container);
    if (container.dataset.poll) setInterval(() => this.refetch(), container.dataset.poll * 1000);
  }

  figures() {
    return this.curves.map((curve) => [curve, this.container.querySelector(`[data-chart="${CSS.escape(curve.name)}"]`)])
      .filter(([, figure]) => figure);
  }

  draw() {
    for (const [curve, figure] of this.figures()) {
      const canvas = figure.querySelector("[data-canvas]");
      this.plots.get(curve.name)?.destroy();
      this.plots.delete(curve.name);
      if (!curve.series.some((series) => series.points.length)) {
        canvas.textContent = "Nothing measured yet. The curve draws itself as the steps come in.";
        continue;
      }
      canvas.replaceChildren();
      this.plots.set(curve.name, new uPlot(options(curve, canvas.clientWidth), columns(curve), canvas));
    }
  }

  resize() {
    for (const [curve, figure] of this.figures()) {
      const width = figure.querySelector("[data-canvas]").clientWidth;
      const plot = this.plots.get(curve.name);
      if (plot && width && plot.width !== width) plot.setSize({ width, height: HEIGHT });
    }
  }

  async refetch() {
    if (document.hidden || this.isFetching) return;
    this.isFetching = true;
    try {
      const response = await fetch(this.container.dataset.url, { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const { curves } = await response.json();
      if (JSON.stringify(curves) === JSON.stringify(this.curves)) return;
      this.curves = curves;
      this.draw();
      for (const [curve, figure] of this.figures()) fillTable(figure.querySelector("[data-rows]"), curve);
    } catch {
      // The next message or poll tries again.
    } finally {
      this.isFetching = false;
    }
  }
}

addProbe();
for (const container of document.querySelectorAll("[data-charts]")) new Charts(container);
