import { Figure, choice, clamp, drag, fmt, h, slider } from "./base.js";
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

const FAR = 55, STEP = 0.1, MIDDLE = 88, TALL = 66, SIDE = 188, BOX = [44, 8, 180, 150];
const ROWS = { precision: "TP / (TP + FP)", recall: "TP / (TP + FN)", specificity: "TN / (TN + FP)",
  F1: "2 TP / (2 TP + FP + FN)", accuracy: "(TP + TN) / all", "balanced accuracy": "mean recall" };
const three = (x) => x.toFixed(3), count = (n) => n.toLocaleString("en");

export class Main extends Figure {
  static css = `.plot{position:relative;margin-bottom:6px;cursor:ew-resize}.plot svg{width:100%}.line{position:absolute;top:0;bottom:10%;
border-left:3px solid;margin-left:-2px}.pos{fill:var(--orange)}.neg{fill:var(--blue)}.off{fill-opacity:.35}
.curve,.thin{fill:none;stroke:var(--blue);stroke-width:2}.thin{stroke:var(--soft);stroke-width:1}
.dash{stroke-dasharray:4 4}.tables{flex:1 1 240px;min-width:0}table{width:100%;margin-bottom:8px;white-space:nowrap}td,th{padding:3px 2px}
caption{text-align:left}small,caption{color:var(--soft);font-weight:400}.parts p{margin:0 0 6px}.say{min-height:4.5em}input{width:120px!important}`;

  draw({ shift, positives, threshold, counts }) {
    Object.assign(this, { shift, positives, counts, t: threshold, aim: "" });
    const set = (key) => (v) => { this[key] = v; this.refresh(); };
    this.aims = choice("set threshold", [["", "by hand"],
      ...Object.keys(ROWS).slice(3).map((k) => [k, "best " + k])], "", set("aim"));
    const move = (t) => {
      this.aims.set("");
      set("aim")("");
      set("t")(t);
    };
    this.level = slider("threshold t", { min: -FAR, max: FAR, value: threshold, show: (v) => fmt(v * STEP, 1),
      oninput: move });
    const controls = h("div", { class: "controls" }, this.level,
      slider("positives", { min: 1, max: 99, value: positives, show: (v) => v + " %", oninput: set("positives") }),
      slider("separation", { min: 0, max: 20, value: shift, show: (v) => (v * 2 * STEP).toFixed(1),
        oninput: set("shift") }), this.aims);
    const W = (this.W = this.clientWidth < 560 ? 330 : 700);
    this.x = scale([-5.6, 5.6], [0, W]);
    const text = (x, y, anchor, s) => h("text", { x, y, "text-anchor": anchor }, s);
    this.areas = ["pos", "pos off", "neg", "neg off"].map((c) => h("path", { class: c }));
    this.names = ["TP", "FN", "FP", "TN"].map((s, i) => text(0, i < 2 ? 14 : 170, i % 2 ? "end" : "start", s));
    this.line = h("div", { class: "line" });
    const plot = h("div", { class: "plot" }, chart("scores of both classes", W, 200, this.areas, this.names,
      h("path", { class: "thin", d: `M0 ${MIDDLE}H${W}` }), text(0, MIDDLE - 8, "start", "positives ↑"),
      text(0, MIDDLE + 24, "start", "negatives ↓"), text(W, 196, "end", "score"),
      [-4, -2, 0, 2, 4].map((v) => text(this.x(v), 196, "middle", fmt(v)))), this.line);
    drag(plot, (px) => {
      this.level.range.focus({ preventScroll: true });
      move(clamp(Math.round(this.x.invert((px / plot.clientWidth) * W) / STEP), -FAR, FAR));
    });
    const row = (name, ...rest) => h("tr", {}, h("th", { scope: "row" }, name), rest);
    const [tp, fn, fp, tn] = (this.matrix = ["", "", "", ""].map(() => h("td")));
    this.values = {};
    const tables = h("div", { class: "tables" },
      h("table", {}, h("caption", {}, "of 100,000 images"),
        row("truth", h("th", {}, "called +"), h("th", {}, "called −")),
        row("positive", tp, fn), row("negative", fp, tn)),
      h("table", {}, Object.entries(ROWS).map(([k, formula]) =>
        row([k + " ", h("small", {}, formula)], (this.values[k] = h("td"))))));
    const x = scale([0, 1], [BOX[0], BOX[2]]), y = scale([0, 1], [BOX[3], BOX[1]]), half = [0, 0.5, 1];
    const curve = (name, xlabel, ylabel, ...more) => {
      const area = h("p", { class: "label" }), paths = ["thin dash", "thin", "curve"].map((c) => h("path", { class: c }));
      const dots = ["thin", "pos"].map((c) => h("circle", { r: 6, class: c }));
      const box = h("div", {}, area, chart(name, SIDE, SIDE,
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
    return [controls, plot, h("div", { class: "parts" }, tables, this.roc.box, this.pr.box), this.text];
  }

  /** The lowest threshold at which the aim is largest. */
  best(data) {
    let best, most = -1;
    for (let t = -FAR; t <= FAR; t++) {
      const v = metrics(confusion(t, ...data))[this.aim];
      if (v > most + 1e-12) [best, most] = [t, v];
    }
    return best;
  }

  update() {
    const { counts, shift, positives: p, x, W } = this, data = sample(counts, shift, p);
    if (this.aim) this.t = this.best(data);
    this.level.set(this.t);
    const { t } = this, m = confusion(t, ...data), v = metrics(m), { all, auc, ap } = curves(...data);
    const [scores, labels, weights] = data, tall = TALL / (counts[0] * Math.max(p, 100 - p));
    // Areas in proportion to the numbers of images; the larger class fills its half.
    this.areas.forEach((area, i) => {
      const list = [];
      scores.forEach((k, j) => {
        if (labels[j] === +(i > 1) || k >= t === i % 2 > 0) return;
        const y = MIDDLE + (i < 2 ? -1 : 1) * weights[j] * tall, [a, b] = [x(k * STEP), x((k + 1) * STEP)];
        list.push([a, MIDDLE], [a, y], [b, y], [b, MIDDLE]);
      });
      area.setAttribute("d", path(list));
    });
    const at = x(t * STEP), score = fmt(t * STEP, 1), fpr = 1 - v.specificity;
    this.names.forEach((e, i) => e.setAttribute("x", at + 8 - (i % 2) * 16));
    this.line.style.left = (at / W) * 100 + "%";
    Object.entries(m).forEach(([k, n], i) => (this.matrix[i].textContent = `${k.toUpperCase()} ${count(n)}`));
    for (const k in ROWS) this.values[k].textContent = three(v[k]);
    const called = m.tp + m.fp, even = (r, f) => share(r, r + f), precision = even(v.recall, fpr);
    if (!called) this.values.precision.textContent = "0/0 → 0";
    const steps = (y) => all.slice(1).flatMap((q, i) => [[all[i].tpr, y(q)], [q.tpr, y(q)]]);
    const roc = all.map((q) => [q.fpr, q.tpr]), dot = [fpr, v.recall];
    this.roc.show("area " + three(auc), [[[0, 0], [1, 1]], [], roc], [dot, dot]);
    this.pr.show("average precision " + three(ap),
      [[[0, p / 100], [1, p / 100]], steps((q) => even(q.tpr, q.fpr)), steps((q) => q.precision)],
      called && [[v.recall, precision], [v.recall, v.precision]]);
    this.text.textContent = `t = ${score}: ` + (called
      ? `${count(m.tp)} of ${count(called)} called positive are: precision ${three(v.precision)}; with ` +
        `balanced classes ${three(precision)} (thin curve, ring).`
      : "nothing is called positive. Precision is 0/0, set to 0 as with scikit-learn’s zero_division=0.") +
      ` The ROC point (${three(fpr)}, ${three(v.recall)}) is the same at every class balance.`;
    this.say(this.text.textContent);
  }
}
