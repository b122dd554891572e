import { Figure, button, choice, clamp, h } from "./base.js";

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

// Label, least, most: two of the input, which layer is chosen, and its numbers in their order.
const FIELDS = [["input size", 512, 8], ["input channels", 4096], ["layer"], ["kernel", 31], ["stride", 16],
  ["padding", 31, 0], ["channels", 4096], ["dilation", 32], ["groups", 4096], ["bias", 1, 0]];
const EMPTY = [1, 1, 0, 0, 1, 1, 1]; // what a stack leaves out at a layer's end
const whole = (n) => n.toLocaleString("en");
const short = (n) => n.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });
const name = ([k, s, , out, d, g]) => (out ? "conv" : "pool") + ` ${k}×${k}` + (out ? `, ${out}` : "") +
  (s > 1 ? ` /${s}` : "") + (d > 1 ? ` d${d}` : "") + (g > 1 ? ` g${g}` : "");

export class Main extends Figure {
  static css = `.stack{display:flex;flex-wrap:wrap;gap:16px}.photo{flex:0 0 280px;max-width:100%}
.view{position:relative;cursor:crosshair;touch-action:none;aspect-ratio:1}
.view *{position:absolute;inset:0;width:100%;height:100%}.view svg{overflow:hidden}
path{fill:none;stroke:#fff;stroke-linecap:round;vector-effect:non-scaling-stroke}
.photo p{margin:8px 0 0;min-height:6em;font-size:13px}.table{flex:1 1 330px;height:372px;overflow:auto}
table{width:100%}th{position:sticky;top:0;background:var(--paper)}tr{cursor:pointer}
td,th{padding:3px 5px!important}.lit{background:var(--fill-blue);font-weight:700}
.edit{margin:12px 0}.controls{gap:8px 12px}input{display:block;width:60px;padding:4px 6px!important;
box-sizing:border-box}.say{min-height:6em}@media print{.table{height:auto}}
@container (max-width:420px){table{font-size:11px}td,th{padding:3px 2px!important}.say{min-height:12em}}`;

  draw({ stacks }) {
    this.fields = FIELDS.map(([label, max, min = 1], i) => {
      const input = h("input", { type: "number", min, max, required: true, onblur: () => this.refresh(),
        oninput: () => {
          if (!input.validity.valid) return;
          const v = +input.value;
          if (i === 2) this.at = v - 1;
          else if (i < 2) this.input[i] = v;
          else this.layers[this.at][i - 3] = v;
          this.refresh();
        } });
      return h("label", {}, label, input);
    });
    this.kind = choice("kind", ["conv", "pool"], "", (kind) => {
      this.layers[this.at][3] = kind === "pool" ? 0 : this.row?.channels || 1;
      this.refresh();
    });
    const buttons = [
      button("Add a copy", () => {
        this.layers.splice(this.at, 0, [...this.layers[this.at]]);
        this.select(this.at + 1);
      }),
      button("Remove", () => {
        if (this.layers[1]) this.layers.splice(this.at, 1);
        this.select(this.at);
      })];
    this.body = h("tbody");
    const line = (width, stroke) => h("path", { style: `stroke-width:${width};stroke:${stroke}` });
    this.paths = [h("path", { style: "fill:#0009;fill-rule:evenodd;stroke:none" }), line(3), line(5),
      line(2.5, "#0072b2"), line(9), line(6, "#b35900")];
    this.svg = h("svg", { "aria-hidden": "true" }, this.paths);
    const point = (event) => {
      const box = this.svg.getBoundingClientRect(), { jump, middle } = this.row;
      this.point([event.clientY - box.top, event.clientX - box.left].map((v) =>
        Math.round(((v / box.width) * this.input[0] - 0.5 - middle) / jump)));
    };
    const view = h("div", { class: "view", tabindex: 0, role: "application",
      "aria-label": "Photo with the receptive field: arrow keys move the unit",
      onpointerdown: point, onpointermove: point, onkeydown: (event) => {
        const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!by) return;
        event.preventDefault();
        this.point(by.map((d, axis) => this.unit[axis] + d * (event.shiftKey ? 10 : 1)));
      } }, this.querySelector("img").cloneNode(), this.svg);
    this.told = h("p");
    this.line = h("p", { class: "say" });
    this.table = h("div", { class: "table", tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {},
      ["layer", "C×H×W", "param.", "MACs", "jump", "field"].map((t) => h("th", { scope: "col" }, t)))), this.body));
    const load = (key) => {
      const [channels, size, layers] = stacks[key];
      Object.assign(this, { input: [size, channels], unit: null,
        layers: layers.map((l) => [...l, ...EMPTY.slice(l.length)]) });
      this.select(layers.length >> 1);
    };
    const names = Object.keys(stacks);
    load(names[0]);
    this.update();
    return [h("div", { class: "controls" }, choice("layers", names, "", load), this.fields.slice(0, 2)),
      h("div", { class: "stack" }, h("div", { class: "photo" }, view, this.told), this.table),
      h("div", { class: "controls edit", role: "group", "aria-label": "chosen layer" }, this.fields[2], this.kind,
        this.fields.slice(3), buttons), this.line];
  }

  select(at) {
    this.at = clamp(at, 0, this.layers.length - 1);
    this.refresh();
  }

  point(unit) {
    this.unit = unit;
    this.see();
  }

  update() {
    const { layers, at, input: [size, channels], body, table } = this, layer = layers[at];
    const { rows, fault } = measure(channels, size, layers), conv = layer[3] > 0, row = rows[at];
    this.rows = rows;
    body.replaceChildren(...layers.map((l, m) => {
      const r = rows[m];
      return h("tr", { class: m === at && "lit", "aria-current": m === at && "true", onclick: () => this.select(m) },
        [`${m + 1} ${name(l)}`, ...(r ? [[r.channels, r.size, r.size].join("×"), short(r.parameters), short(r.macs),
          r.jump, r.field] : ["✕", "", "", "", ""])].map((text) => h("td", {}, text)));
    }));
    const lit = body.children[at];
    table.scrollTop = clamp(table.scrollTop, lit.offsetTop + 60 - table.clientHeight, lit.offsetTop - 60);
    this.kind.set(conv ? "conv" : "pool");
    [size, channels, at + 1, ...layer].forEach((v, i) => {
      const field = this.fields[i].lastChild;
      if (field.value !== String(v)) field.value = v;
      field.disabled = !conv && (i === 6 || i > 7);
    });
    this.fields[2].lastChild.max = layers.length;
    const sum = (key) => whole(rows.reduce((s, r) => s + r[key], 0));
    let text = fault;
    if (row) {
      const [k, s, p, out, d, g, bias] = layer, b = row.before;
      text = `Layer ${at + 1}: size ⌊(${b.size} + 2·${p} − ${d}·(${k} − 1) − 1) / ${s}⌋ + 1 = ${row.size}, ` +
        `field ${b.field} + ${d}·(${k} − 1)·${b.jump} = ${row.field}` + (conv
        ? `, parameters ${out}·${b.channels}${g > 1 ? `/${g}` : ""}·${k}·${k}${bias ? ` + ${out}` : ""} = ` +
          `${whole(row.parameters)}, MACs ${whole(row.weights)}·${row.size}·${row.size} = ${whole(row.macs)}. `
        : ". ") + (fault || `All layers: ${sum("parameters")} parameters, ${sum("macs")} MACs for one image.`);
    }
    this.line.textContent = text;
    this.row = row || rows.at(-1);
    this.see();
    if (fault) this.say(fault);
  }

  /** Draw what one unit sees: of the chosen layer, or of the last that fits. */
  see() {
    const { row, rows, input: [n] } = this;
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
    const text = `Layer ${m}, unit (${this.unit.join(", ")}) of ${size} × ${size}: its field is ${field} × ${field} pixels` +
      (Math.min(...inside) < field ? `, ${inside.join(" × ")} of them on the photo` : "") +
      (down[1] || across[1] ? "; it misses those left dark." : ".");
    this.told.textContent = text;
    this.say(text);
  }
}
