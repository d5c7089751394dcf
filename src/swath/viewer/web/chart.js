"use strict";
// Probability by date at a place, as a small chart.

let chart = null;

/** days: ISO dates; series: class name -> probabilities or null; threshold: a number or null. */
function drawChart(box, days, series, threshold, colours) {
  chart?.destroy();
  chart = null;
  box.replaceChildren();
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, line] = ["--ink", "--quiet", "--line"].map((name) => style.getPropertyValue(name).trim());
  const times = days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const pad = Math.max(15 * 86400, (times[times.length - 1] - times[0]) * 0.06);
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const lines = Object.keys(series).map((name, at) => ({
    label: name, stroke: colours[at], width: 2, spanGaps: true,
    points: { show: true, size: 8, fill: colours[at], stroke: colours[at] },
  }));
  const data = [times, ...Object.values(series)];
  if (threshold !== null) {
    lines.push({ label: "threshold", stroke: ink, width: 1, dash: [4, 4], points: { show: false } });
    data.push(times.map(() => threshold));
  }
  chart = new vendor.uPlot(
    {
      width: box.clientWidth || 280, height: 140, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      tzDate: (stamp) => vendor.uPlot.tzDate(new Date(stamp * 1e3), "Etc/UTC"),
      scales: { x: { range: (_, low, high) => [low - pad, high + pad] }, y: { range: [0, 1] } },
      axes: [{ ...axis, space: 60, size: 40 }, { ...axis, size: 32, splits: () => [0, 0.5, 1] }],
      series: [{}, ...lines],
    },
    data, box,
  );
  const words = Object.entries(series).map(([name, values]) =>
    `${name}: ${days.map((day, at) => `${day} ${values[at] === null ? "no data" : values[at].toFixed(2)}`).join(", ")}`);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `Probability by date. ${words.join(". ")}`);
}
