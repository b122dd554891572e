import { Figure, button, choice, clamp, drag, h } from "./base.js";
import { chart } from "./plot.js";

/**
 * What each layer [kernel, stride, padding, channels (0: a pool), dilation, groups, bias] makes of an
 * input of `channels` x `size` x `size`: one row a layer, up to the first that does not fit.
 * `middle` is where unit 0 has the middle of its field, in input pixels.
 */
export function measure(channels, size, layers) {
  const rows = [];
  let jump = 1, field = 1, middle = 0;
  for (const layer of layers) {
    const [kernel, stride, padding, out, dilation, groups, bias] = layer;
    const before = { channels, size, jump, field }, conv = out > 0;
    const span = dilation * (kernel - 1) + 1, room = size + 2 * padding;
    const fault = span > room
      ? `its window spans ${span} pixels, its padded input only ${room}. Add padding, or lower its kernel or dilation or a stride before it.`
      : conv && (channels % groups || out % groups)
        ? `${groups} groups do not divide both ${channels} input and ${out} output channels.`
        : !conv && 2 * padding > kernel ? "a pool’s padding may be at most half its kernel." : "";
    if (fault) return { rows, fault: `Layer ${rows.length + 1} does not fit: ${fault}` };
    const weights = conv ? (out * channels * kernel ** 2) / groups : 0;
    size = Math.floor((room - span) / stride) + 1;
    if (conv) channels = out;
    field += (span - 1) * jump;
    middle += ((span - 1) / 2 - padding) * jump;
    jump *= stride;
    rows.push({ layer, before, channels, size, jump, field, middle, weights, macs: weights * size ** 2,
      parameters: weights + (conv && bias && out) });
  }
  return { rows, fault: "" };
}

/** Along one axis: the input pixels that can change a unit of the last row. Runs [from, to]. */
export function support(rows, unit) {
  let seen = [unit];
  for (const { layer: [kernel, stride, padding, , dilation], before } of [...rows].reverse()) {
    const read = {};
    for (const i of seen)
      for (let k = 0; k < kernel; k++) {
        const at = i * stride - padding + k * dilation;
        if (at >= 0 && at < before.size) read[at] = 1;
      }
    seen = Object.keys(read).map(Number); // ascending, as whole-number keys are
  }
  const runs = [];
  for (const i of seen)
    if (runs.at(-1)?.[1] === i - 1) runs.at(-1)[1] = i;
    else runs.push([i, i]);
  return runs;
}

// A layer's numbers in their order: label, most, least.
const FIELDS = [["kernel", 31, 1], ["stride", 16, 1], ["padding", 31, 0], ["channels", 4096, 1], ["dilation", 32, 1],
  ["groups", 4096, 1], ["bias", 1, 0]];
const EMPTY = [1, 1, 0, 0, 1, 1, 1]; // what a stack leaves out at a layer's end
const whole = (n) => n.toLocaleString("en");
const short = (n) => n.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
const name = ([k, s, , out, d, g]) => (out ? "conv" : "pool") + ` ${k} × ${k}` + (s > 1 ? `, stride ${s}` : "") +
  (d > 1 ? `, dilation ${d}` : "") + (g > 1 ? `, ${g} groups` : "");
const shape = ({ size, channels }) => `${size} × ${size} × ${channels}`;
const TALL = 96, BARS = 34, KINDS = [["parameters", "parameters"], ["macs", "MACs"]];

export class Main extends Figure {
  static css = `.list{cursor:pointer;border-radius:4px}.list rect.chosen{fill:var(--fill-orange);stroke:var(--orange)}
.box{fill:var(--fill-blue);stroke:var(--blue)}.box.pool{fill:var(--panel);stroke:var(--soft)}.here .box{fill:var(--orange);stroke:var(--ink)}
.parameters{fill:var(--blue)}.macs{fill:var(--good)}.see{display:flex;gap:12px;margin-top:8px}
.view{position:relative;cursor:crosshair;width:var(--photo,150px);aspect-ratio:1;flex:none}
.view *{position:absolute;inset:0;width:100%;height:100%}.view svg{overflow:hidden}
.view path{fill:none;stroke:#fff;stroke-linecap:round;vector-effect:non-scaling-stroke}
.see p{font-size:14px}.edit{margin-top:8px}.edit label{font-size:12px}.edit .controls{margin:6px 0 0;gap:6px 8px}
.edit input{display:block;width:58px;padding:4px 6px}input[aria-invalid]{border:2px solid var(--orange)}
summary{cursor:pointer;padding:4px 0}.say{min-height:0}.see p+p{margin-top:6px}.fault{color:var(--orange);font-weight:600}
@container(width<420px){.see{--photo:118px}.see p{font-size:13px;line-height:1.3}}@media print{.edit{display:none}}`;
  static keys = ["input", "layers", "at"];
  static tries = [
    ["LeNet", (f) => f.open("LeNet-5", 2)],
    ["Depthwise", (f) => f.open("depthwise separable", 3)],
    ["Dilated: gaps", (f) => f.open("dilated: always 2", 3)],
  ];

  draw({ stacks }) {
    this.stacks = stacks;
    const names = Object.keys(stacks);
    Object.assign(this, this.open(names[0]));
    this.fields = FIELDS.map(([label, max, min], i) => {
      const input = h("input", { type: "number", min, max, required: true, inputmode: "numeric", oninput: () => {
        const good = input.validity.valid;
        input.toggleAttribute("aria-invalid", !good);
        this.wrong = good ? "" : `${label} must be a whole number from ${min} to ${max}.`;
        if (good) this.layers[this.at][i] = +input.value;
        this.refresh();
      }, onblur: () => { input.removeAttribute("aria-invalid"); this.wrong = ""; this.refresh(); } });
      return h("label", {}, label, input);
    });
    this.kind = choice("kind", ["conv", "pool"], "", (kind) => {
      this.layers[this.at][3] = kind === "pool" ? 0 : this.row?.channels || 1;
      this.refresh();
    });
    const buttons = [
      button("Add a copy", () => {
        if (this.layers.length < 24) this.layers.splice(this.at, 0, [...this.layers[this.at]]);
        this.select(this.at + 1);
      }),
      button("Remove", () => {
        if (this.layers[1]) this.layers.splice(this.at, 1);
        this.select(this.at);
      })];
    this.networks = choice("network", names, "", (key) => this.go(this.open(key)));
    this.list = h("div", { class: "list", tabindex: 0, role: "listbox", "aria-label": "layers; arrow keys choose",
      onkeydown: (event) => {
        const to = { ArrowRight: this.at + 1, ArrowDown: this.at + 1, ArrowLeft: this.at - 1, ArrowUp: this.at - 1,
          Home: 0, End: 99 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        this.select(to);
      } });
    drag(this.list, (x) => {
      this.list.focus({ preventScroll: true });
      this.select(Math.floor(x / this.column));
    });
    const line = (width, stroke) => h("path", { style: `stroke-width:${width};stroke:${stroke}` });
    this.paths = [h("path", { style: "fill:#0009;fill-rule:evenodd;stroke:none" }), line(3), line(5),
      line(2.5, "#0072b2"), line(9), line(6, "#b35900")];
    this.svg = h("svg", { "aria-hidden": "true" }, this.paths);
    const view = h("div", { class: "view", tabindex: 0, role: "application",
      "aria-label": "Photo with the receptive field: arrow keys move the unit", onkeydown: (event) => {
        const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!by) return;
        event.preventDefault();
        this.point(by.map((d, axis) => this.unit[axis] + d * (event.shiftKey ? 10 : 1)));
      } }, this.querySelector("img").cloneNode(), this.svg);
    drag(view, (x, y) => {
      if (!this.row) return;
      const { jump, middle } = this.row;
      this.point([y, x].map((v) => Math.round(((v / view.clientWidth) * this.input[0] - 0.5 - middle) / jump)));
    });
    this.told = h("p");
    this.costs = h("p");
    this.fault = h("p", { class: "fault", role: "alert" });
    this.update();
    return [this.list, this.fault, h("div", { class: "see" }, view, h("div", {}, this.costs, this.told)),
      h("details", { class: "edit" }, h("summary", {}, "Change the layers"), h("div", { class: "controls", role: "group",
        "aria-label": "chosen layer" }, this.kind, this.fields, buttons)),
      h("div", { class: "controls edit" }, this.networks)];
  }

  /** The state that shows a stack of layers; by default its middle layer. */
  open(key, at) {
    const [channels, size, layers] = this.stacks[key] ?? Object.values(this.stacks)[0];
    return { input: [size, channels], unit: null, at: at ?? (layers.length - 1) >> 1,
      layers: layers.map((l) => [...l, ...EMPTY.slice(l.length)]) };
  }

  select(at) {
    this.at = clamp(at, 0, this.layers.length - 1);
    this.refresh();
  }

  point(unit) {
    this.unit = unit;
    this.refresh();
  }

  update() {
    const { layers, at, input: [size, channels] } = this, layer = layers[at];
    const { rows, fault } = measure(channels, size, layers), row = rows[at], n = layers.length, W = this.room;
    const found = Object.keys(this.stacks).find((key) => JSON.stringify(this.open(key).layers) === JSON.stringify(layers));
    if (found) this.networks.set(found);
    const wide = (this.column = Math.min(W / n, 90)), top = 30, base = top + TALL;
    const sums = KINDS.map(([key]) => rows.reduce((s, r) => s + r[key], 0));
    const columns = layers.map((l, m) => {
      const r = rows[m], x = m * wide, here = m === at;
      const label = `Layer ${m + 1}, ${name(l)}: ` + (r ? `${shape(r)}, ${whole(r.parameters)} parameters, ` +
        `${whole(r.macs)} MACs, field ${r.field}` : "does not fit");
      if (!r) return h("text", { x: x + wide / 2, y: base - 8, "text-anchor": "middle", role: "option", "aria-label": label }, "✕");
      const tall = 6 + (TALL - 6) * (r.size / size) ** 0.6, w = clamp((wide - 4) * (0.25 + 0.75 * Math.log2(r.channels) / 11), 3, 60);
      const text = wide > 46 && !here && h("text", { x: x + wide / 2, y: base - tall - 6, "text-anchor": "middle", style: "font-size:11px" },
        wide > 74 ? shape(r) : `${r.size}, ${r.channels}`);
      return h("g", { class: here ? "here" : "", role: "option", id: "o" + m, "aria-selected": String(here), "aria-label": label },
        here && h("rect", { class: "chosen", x: x + 0.5, y: 1, width: wide - 1, height: base + 2 * BARS + 36, rx: 4 }),
        h("rect", { class: l[3] ? "box" : "box pool", x: x + (wide - w) / 2, y: base - tall, width: w, height: tall, rx: 2 }),
        text || [], KINDS.map(([key], k) => {
          const high = sums[k] ? (r[key] / Math.max(...rows.map((q) => q[key]))) * BARS : 0;
          return h("rect", { class: key, x: x + wide * 0.2, y: base + 18 * (k + 1) + BARS * (k + 1) - high, width: wide * 0.6, height: high });
        }));
    });
    this.list.replaceChildren(chart("", W, base + 2 * BARS + 40, columns,
      KINDS.map(([key, text], k) => h("text", { x: 4, y: base + 13 + k * (BARS + 18) }, `${text}: ${short(sums[k])} in all`)),
      h("text", { x: clamp(wide * (at + 0.5), 80, W - 80), y: 16, "text-anchor": "middle", style: "font-weight:700" },
        row ? shape(row) : "does not fit")));
    this.list.firstChild.setAttribute("role", "presentation");
    this.list.firstChild.removeAttribute("aria-label");
    this.list.setAttribute("aria-activedescendant", "o" + at);
    this.kind.set(layer[3] ? "conv" : "pool");
    layer.forEach((v, i) => {
      const field = this.fields[i].lastChild;
      if (!field.hasAttribute("aria-invalid") && field.value !== String(v)) field.value = v;
      field.disabled = !layer[3] && (i === 3 || i > 4);
    });
    this.fault.textContent = this.wrong || fault;
    const [k, s, p, out, d, g, bias] = layer, b = row?.before;
    this.costs.textContent = row ? `Layer ${at + 1}, ${name(layer)}. Side ⌊(${b.size} + 2·${p} − ${d}·(${k} − 1) − 1) / ${s}⌋ + 1 = ` +
      `${row.size}. ` + (out ? `Parameters ${out}·${b.channels}${g > 1 ? `/${g}` : ""}·${k}²${bias ? ` + ${out}` : ""} = ` +
      `${whole(row.parameters)}; MACs ${whole(row.weights)}·${row.size}² = ${short(row.macs)}.` : "A pool has no parameters.") : "";
    this.row = row || rows.at(-1);
    this.see(rows);
    if (fault) this.say(fault);
  }

  /** Draw what one unit sees: of the chosen layer, or of the last that fits. */
  see(rows) {
    const { row, input: [n] } = this;
    this.svg.style.display = row ? "" : "none";
    if (!row) return;
    const { size, jump, field, middle } = row, m = rows.indexOf(row) + 1;
    this.unit = (this.unit || [size >> 1, size >> 1]).map((v) => clamp(v, 0, size - 1));
    const at = (v) => middle + v * jump, corner = this.unit.map((v) => at(v) - (field - 1) / 2);
    const [down, across] = this.unit.map((v) => support(rows.slice(0, m), v));
    const box = (y, x, tall, wide) => `M${x} ${y}h${wide}v${tall}h${-wide}z`;
    const spot = (y, x) => `M${x + 0.5} ${y + 0.5}h.001`;
    const each = (ys, xs, draw) => ys.map((y) => xs.map((x) => draw(y, x)).join("")).join("");
    const units = size > 28 ? [] : [...Array(size).keys()].map(at);
    const frame = box(...corner, field, field), dot = spot(...this.unit.map(at));
    [box(0, 0, n, n) + each(down, across, ([a, b], [c, d]) => box(a, c, b - a + 1, d - c + 1)),
      each(units, units, spot), frame, frame, dot, dot].forEach((d, i) => this.paths[i].setAttribute("d", d));
    this.svg.setAttribute("viewBox", `0 0 ${n} ${n}`);
    const inside = corner.map((v) => Math.min(n, v + field) - Math.max(0, v));
    const text = `Its unit (${this.unit.join(", ")}) sees ${field} × ${field} pixels of the photo` +
      (Math.min(...inside) < field ? `, ${inside.join(" × ")} of them inside it` : "") +
      (down[1] || across[1] ? ", and misses those left dark." : ".");
    this.told.textContent = text;
    this.say(this.costs.textContent + " " + text);
  }
}
