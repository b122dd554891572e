import { Figure, TABLE_CSS, clamp, drag, h, slider } from "./base.js";
import { axes, chart, path, scale } from "./plot.js";

const share = (part, whole) => (whole ? part / whole : 0);

/** The confusion matrix if every score >= t is called positive; labels 1 or 0, weights as counts. */
export function confusion(t, scores, labels, weights) {
  const m = { tp: 0, fn: 0, fp: 0, tn: 0 };
  scores.forEach((s, i) => {
    m[s >= t ? (labels[i] ? "tp" : "fp") : labels[i] ? "fn" : "tn"] += weights[i];
  });
  return m;
}

/** The metrics of a confusion matrix; 0 / 0 counts as 0, as with scikit-learn's zero_division=0. */
export function metrics({ tp, fp, fn, tn }) {
  const recall = share(tp, tp + fn), specificity = share(tn, tn + fp);
  return {
    precision: share(tp, tp + fp), recall, specificity, F1: share(2 * tp, 2 * tp + fp + fn),
    accuracy: share(tp + tn, tp + fp + fn + tn), "balanced accuracy": (recall + specificity) / 2,
  };
}

/**
 * ROC and precision-recall at every threshold, from above all scores to the lowest, and their areas:
 * trapezoids under the ROC curve; average precision, the sum of steps in recall times precision.
 */
export function curves(scores, labels, weights) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const { tp: P, fp: N } = confusion(-Infinity, scores, labels, weights);
  const all = [{ tpr: 0 / P, fpr: 0 / N, precision: 1 }];
  let tp = 0, fp = 0, auc = 0, ap = 0;
  order.forEach((i, k) => {
    labels[i] ? (tp += weights[i]) : (fp += weights[i]);
    if (scores[order[k + 1]] === scores[i]) return; // ties move together
    const last = all.at(-1);
    const now = { tpr: tp / P, fpr: fp / N, precision: share(tp, tp + fp) };
    auc += ((now.fpr - last.fpr) * (now.tpr + last.tpr)) / 2;
    ap += P && (now.tpr - last.tpr) * now.precision;
    all.push(now);
  });
  return { all, auc, ap };
}

/** Both classes as scores, labels and weights: 1,000 images each, times the class's percentage. */
export function sample(half, shift, positives) {
  const scores = [], labels = [], weights = [], n = half.length;
  for (let k = -n; k < n; k++)
    for (const label of [1, 0]) {
      scores.push(label ? k + shift : k - shift);
      labels.push(label);
      weights.push(half[k < 0 ? -1 - k : k] * (label ? positives : 100 - positives));
    }
  return [scores, labels, weights];
}

/** The probability that stands for a threshold in bins, and the way back. */
export const probability = (t) => 1 / (1 + Math.exp(-t * STEP));
export const bin = (p) => Math.round(Math.log(p / (1 - p)) / STEP);

const FAR = 55, STEP = 0.1, MIDDLE = 66, TALL = 54, BOX = [36, 6, 156, 112];
const ROWS = { precision: "TP / (TP + FP)", recall: "TP / (TP + FN)", specificity: "TN / (TN + FP)",
  F1: "harmonic mean", accuracy: "(TP + TN) / all", "balanced accuracy": "mean recall" };
const three = (x) => x.toFixed(3), count = (n) => n.toLocaleString("en");
const chance = (t) => { const p = probability(t); return p.toFixed(p < 0.0995 || p > 0.9005 ? 3 : 2); };

export class Main extends Figure {
  static css = TABLE_CSS + `.plot{position:relative;margin-bottom:4px;cursor:ew-resize}.plot svg{width:100%}.line{position:absolute;top:0;bottom:12%;
border-left:3px solid;margin-left:-2px}.pos{fill:var(--orange)}.neg{fill:var(--blue)}.off{fill-opacity:.35}
.curve,.thin{fill:none;stroke:var(--blue);stroke-width:2}.thin{stroke:var(--soft);stroke-width:1}
.dash{stroke-dasharray:4 4}.all{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:8px 20px}table{width:100%;white-space:nowrap}
td,th{padding:3px 2px;font-weight:400}td{font-weight:600}small,caption{color:var(--soft)}caption{text-align:left}svg text{font-size:12px}
@container(width<760px){.all{grid-template-columns:1fr 1fr;gap:6px 12px}small{display:none}}
@container(width<420px){.say{font-size:14px}table{font-size:11.5px}td,th{padding:1px 3px}.controls{gap:4px;justify-content:space-between}
.controls label{width:31%;font-size:12px}.all{grid-template-columns:minmax(0,1.25fr) minmax(0,1fr)}input[type=range]{width:100%}}
@container(width<330px){table{font-size:10px}.all{gap:6px}}`;
  static keys = ["shift", "positives", "t"];
  static tries = [
    ["1 % positives", { positives: 1 }],
    ["Best F1", (f) => ({ t: f.best("F1") })],
    ["Harder", { shift: 5 }],
  ];

  draw({ shift, positives, threshold, counts }) {
    Object.assign(this, { shift, positives, counts, t: threshold });
    const set = (key) => (v) => { this[key] = v; this.refresh(); };
    this.sliders = { t: slider("threshold", { min: -FAR, max: FAR, value: threshold, show: chance, oninput: set("t") }),
      positives: slider("positives", { min: 1, max: 99, value: positives, show: (v) => v + " %", oninput: set("positives") }),
      shift: slider("separation", { min: 0, max: 20, value: shift, show: (v) => (v * 2 * STEP).toFixed(1),
        oninput: set("shift") }) };
    this.plot = h("div", { class: "plot" });
    this.areas = ["pos", "pos off", "neg", "neg off"].map((c) => h("path", { class: c }));
    this.names = ["TP", "FN", "FP", "TN"].map((s, i) => h("text", { y: i < 2 ? 26 : 114, "text-anchor": i % 2 ? "end" : "start" }, s));
    this.sides = [12, 128].map((y) => h("text", { x: 0, y }));
    this.line = h("div", { class: "line" });
    drag(this.plot, (px) => {
      this.sliders.t.range.focus({ preventScroll: true });
      this.t = clamp(Math.round(this.x.invert((px / this.plot.clientWidth) * this.W) / STEP), -FAR, FAR);
      this.refresh();
    });
    const row = (name, ...rest) => h("tr", {}, h("th", { scope: "row" }, name), rest);
    const [tp, fn, fp, tn] = (this.matrix = ["", "", "", ""].map(() => h("td")));
    this.values = {};
    const matrix = h("table", {}, row("100,000", h("th", {}, "called +"), h("th", {}, "called −")), row("+", tp, fn), row("−", fp, tn));
    const rates = h("table", {}, Object.entries(ROWS).map(([k, formula]) =>
      row([k.replace("balanced", "bal.") + " ", h("small", {}, formula)], (this.values[k] = h("td")))));
    const x = scale([0, 1], [BOX[0], BOX[2]]), y = scale([0, 1], [BOX[3], BOX[1]]), half = [0, 0.5, 1];
    const curve = (name, xlabel, ylabel) => {
      const area = h("p", { class: "label" }), paths = ["thin dash", "thin", "curve"].map((c) => h("path", { class: c }));
      const dots = ["thin", "pos"].map((c) => h("circle", { r: 6, class: c }));
      const box = h("div", {}, area, chart(name, 162, 146,
        axes({ x, y, box: BOX, xticks: half, yticks: half, xlabel, ylabel }), paths, dots));
      // Text, three lines and two points: guessing, balanced classes, these classes.
      return { box, show: (label, lines, points) => {
        area.textContent = `${name}: ${label}`;
        lines.forEach((l, i) => paths[i].setAttribute("d", path(l.map(([a, b]) => [x(a), y(b)]))));
        dots.forEach((dot, i) => {
          dot.style.display = points ? "" : "none";
          if (points) dot.setAttribute("transform", `translate(${x(points[i][0])} ${y(points[i][1])})`);
        });
      } };
    };
    this.roc = curve("ROC", "false positive rate", "recall");
    this.pr = curve("PR", "recall", "precision");
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "controls" }, Object.values(this.sliders)), this.plot,
      h("div", { class: "all" }, matrix, rates, this.roc.box, this.pr.box), this.text];
  }

  /** The lowest threshold at which a metric is largest. */
  best(aim) {
    const data = sample(this.counts, this.shift, this.positives);
    let best, most = -1;
    for (let t = -FAR; t <= FAR; t++) {
      const v = metrics(confusion(t, ...data))[aim];
      if (v > most + 1e-12) [best, most] = [t, v];
    }
    return best;
  }

  update() {
    const { counts, shift, positives: p, t, room: W } = this, data = sample(counts, shift, p);
    for (const key in this.sliders) this.sliders[key].set(this[key]);
    if (this.W !== W) {
      this.W = W;
      this.x = scale([-5.6, 5.6], [0, W]);
      this.plot.replaceChildren(chart("both classes", W, 148, this.areas, this.names, h("path", { class: "thin", d: `M0 ${MIDDLE}H${W}` }),
        this.sides, [0.01, 0.1, 0.5, 0.9, 0.99].map((q) => h("text", { x: this.x(bin(q) * STEP), y: 146, "text-anchor": "middle" }, q))), this.line);
    }
    const { x } = this, m = confusion(t, ...data), v = metrics(m), { all, auc, ap } = curves(...data);
    const [scores, labels, weights] = data, tall = TALL / Math.max(...counts);
    // Each class fills its half; how much the smaller one is enlarged is written beside it.
    this.areas.forEach((area, i) => {
      const list = [];
      scores.forEach((k, j) => {
        if (labels[j] === +(i > 1) || k >= t === i % 2 > 0) return;
        const y = MIDDLE + ((i < 2 ? -1 : 1) * weights[j] * tall) / (i < 2 ? p : 100 - p), [a, b] = [x(k * STEP), x((k + 1) * STEP)];
        list.push([a, MIDDLE], [a, y], [b, y], [b, MIDDLE]);
      });
      area.setAttribute("d", path(list));
    });
    const times = (part) => (part < 50 ? `, ${((100 - part) / part).toFixed(part > 9 ? 1 : 0)}× taller` : "");
    this.sides[0].textContent = `positives ${p} %${times(p)}`;
    this.sides[1].textContent = `negatives ${100 - p} %${times(100 - p)}`;
    const at = x(t * STEP), fpr = 1 - v.specificity;
    this.names.forEach((e, i) => e.setAttribute("x", at + 8 - (i % 2) * 16));
    this.line.style.left = (at / W) * 100 + "%";
    Object.entries(m).forEach(([k, n], i) => (this.matrix[i].textContent = `${k.toUpperCase()} ${count(n)}`));
    for (const k in ROWS) this.values[k].textContent = three(v[k]);
    const called = m.tp + m.fp, even = (r, f) => share(r, r + f), precision = even(v.recall, fpr);
    if (!called) this.values.precision.textContent = "0/0 → 0";
    const steps = (y) => all.slice(1).flatMap((q, i) => [[all[i].tpr, y(q)], [q.tpr, y(q)]]);
    const roc = all.map((q) => [q.fpr, q.tpr]), dot = [fpr, v.recall];
    this.roc.show("area " + three(auc), [[[0, 0], [1, 1]], [], roc], [dot, dot]);
    this.pr.show("AP " + three(ap),
      [[[0, p / 100], [1, p / 100]], steps((q) => even(q.tpr, q.fpr)), steps((q) => q.precision)],
      called && [[v.recall, precision], [v.recall, v.precision]]);
    this.text.textContent = `From ${chance(t)} on: ` + (called
      ? `${count(m.tp)} of ${count(called)} called positive are. Precision ${three(v.precision)}; with balanced classes ` +
        `${three(precision)} (ring).` : "nothing is called positive; precision is 0/0, set to 0.");
    this.say(this.text.textContent);
  }
}
