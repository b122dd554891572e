// Axes for the figures that plot: scales, ticks and grid lines in SVG.

import { fmt, h } from "./base.js";

/** A scale from data to pixels; `log` for a logarithmic one. scale.invert goes back. */
export function scale([low, high], [from, to], log = false) {
  const a = log ? Math.log(low) : low, b = log ? Math.log(high) : high;
  const map = (x) => from + (((log ? Math.log(x) : x) - a) / (b - a)) * (to - from);
  map.invert = (pixel) => {
    const t = a + ((pixel - from) / (to - from)) * (b - a);
    return log ? Math.exp(t) : t;
  };
  return map;
}

/** An SVG of width x height units that grows and shrinks with its column. */
export function chart(label, width, height, ...children) {
  return h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": label }, children);
}

/** The frame of a plot: tick lines and numbers, and a name with its unit on either axis. */
export function axes({ x, y, box: [left, top, right, bottom], xticks, yticks, xlabel, ylabel,
  show = fmt }) {
  const line = (x1, y1, x2, y2) => h("line", { x1, y1, x2, y2, stroke: "var(--line)" });
  const text = (x, y, anchor, s, turn) =>
    h("text", { x, y, "text-anchor": anchor, transform: turn && `rotate(-90 ${x} ${y})` }, s);
  return h("g", { "aria-hidden": "true" },
    xticks.map((t) => [line(x(t), top, x(t), bottom), text(x(t), bottom + 15, "middle", show(t))]),
    yticks.map((t) => [line(left, y(t), right, y(t)), text(left - 6, y(t) + 4, "end", show(t))]),
    text((left + right) / 2, bottom + 32, "middle", xlabel),
    text(left - 34, (top + bottom) / 2, "middle", ylabel, true));
}

/** Points [[x, y], ...] in pixels as the `d` of a path; a gap where a value is not finite. */
export function path(points) {
  let pen = "M", d = "";
  for (const [x, y] of points) {
    const fits = Number.isFinite(x + y);
    if (fits) d += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = fits ? "L" : "M";
  }
  return d;
}
