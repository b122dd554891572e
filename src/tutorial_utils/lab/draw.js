// Pictures of numbers: elements, maps, strips, curves. Colours come from lab.css.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: make("p", {class: "x", onclick: f}, "text", child, ...). */
function make(tag, attributes = {}, ...children) {
  const drawn = /^(svg|polyline|line|text|circle|title)$/.test(tag);
  const e = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (value === true) e.setAttribute(key, "");
    else if (value !== false && value != null) e.setAttribute(key, value);
  }
  e.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return e;
}

/** A canvas of bytes: 4 for each pixel (RGBA), or 1 (grey). */
function picture(bytes, width, height, label) {
  const canvas = make("canvas", { width, height, role: "img", "aria-label": label });
  const image = new ImageData(width, height);
  if (bytes.length === image.data.length) image.data.set(bytes);
  else bytes.forEach((v, i) => { image.data.set([v, v, v, 255], 4 * i); });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Orange for what speaks for a class, blue for what speaks against it; the larger the stronger. */
function signed(values, width, height, label, largest) {
  const top = largest ?? values.reduce((a, v) => Math.max(a, Math.abs(v)), 1e-9);
  const bytes = new Uint8ClampedArray(4 * values.length);
  values.forEach((v, i) => {
    bytes.set(v > 0 ? [230, 130, 0] : [0, 114, 200], 4 * i);
    bytes[4 * i + 3] = 255 * Math.min(1, Math.abs(v) / top);
  });
  return picture(bytes, width, height, label);
}

/** A small picture of a crop (224 x 224), `size` pixels wide. */
async function thumbnail(crop, size) {
  const options = { resizeWidth: size, resizeHeight: size, resizeQuality: "medium" };
  const bitmap = await createImageBitmap(new ImageData(crop, 224), options);
  const canvas = make("canvas", { width: size, height: size });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/**
 * Class activation map: at each place, how much its 1,280 numbers speak for class c rather than for
 * the average class. Exact for this network: the features are the mean over the places and the head
 * is linear, so the mean of the map is the class's logit (less the mean logit).
 */
function classMap(map, w, classes, c) {
  const width = w.length / classes, weight = new Float64Array(width);
  for (let k = 0; k < classes; k++)
    for (let d = 0; d < width; d++) weight[d] += ((k === c) - 1 / classes) * w[k * width + d];
  return Float64Array.from({ length: map.length / (width - 1) }, (_, p) => {
    let sum = weight[width - 1];
    for (let d = 0, i = p * (width - 1); d < width - 1; d++) sum += weight[d] * map[i++];
    return sum;
  });
}

/** Of the losses those worth drawing: the last steps of a fit change nothing that one could see. */
function visible(losses) {
  const end = losses[losses.length - 1], near = losses.findIndex((v) => v - end < 0.005 * losses[0]);
  return losses.slice(0, Math.max(near, 5) + 1);
}

/** The loss, step by step, up to step `last`. */
function curve(losses, last) {
  const w = 260, h = 110, left = 38, bottom = 24, top = losses[0] * 1.05;
  const x = (i) => left + ((w - left - 8) * i) / Math.max(1, losses.length - 1);
  const y = (v) => 6 + (h - bottom - 6) * (1 - v / top);
  const points = losses.slice(0, last + 1).map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  const text = (value, at, up, anchor = "end") => make("text", { x: at, y: up, "text-anchor": anchor }, value);
  return make("svg", { viewBox: `0 0 ${w} ${h}`, role: "img",
    "aria-label": `Loss after each step: from ${losses[0].toFixed(2)} to ${losses[last].toFixed(2)}` },
  make("line", { x1: left, x2: w - 8, y1: y(0), y2: y(0) }), make("line", { x1: left, x2: left, y1: 6, y2: y(0) }),
  text(losses[0].toFixed(2), left - 5, y(losses[0]) + 4), text("0", left - 5, y(0) + 4),
  text("loss", left + 5, 15, "start"), text(`step ${last}`, w - 8, h - 6),
  make("polyline", { points }), points.split(" ").map((at) => make("circle", { cx: at.split(",")[0], cy: at.split(",")[1], r: 2 })), make("circle", { cx: x(last), cy: y(losses[last]), r: 3.5 }));
}

/** Wilson's 95 % interval of a share, in per cent: how far few photos can be trusted. */
function wilson(right, count) {
  const z2 = 1.96 ** 2, p = right / count, by = 1 + z2 / count;
  const middle = (p + z2 / (2 * count)) / by;
  const half = (1.96 / by) * Math.sqrt((p * (1 - p)) / count + z2 / (4 * count * count));
  return [Math.floor(100 * Math.max(0, middle - half) + 1e-9), Math.ceil(100 * Math.min(1, middle + half) - 1e-9)];
}

const percent = (p) => (p > 0.995 && p < 1 ? ">\u00a099\u00a0%" : p < 0.005 && p > 0 ? "<\u00a01\u00a0%" : `${Math.round(100 * p)}\u00a0%`);
