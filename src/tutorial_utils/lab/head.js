// The head: softmax regression with an L2 penalty on the features, by L-BFGS on all photos at once;
// and leave-one-out, which asks about each photo a head that has not learnt from it.

const STRENGTH = 0.01; // of the penalty; the accuracy is flat from 0.003 to 0.03

/** Softmax of logits (any array). The largest is subtracted first: no overflow. */
function softmax(z) {
  const top = Math.max(...z), e = Array.from(z, (v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

/** Logits of a row x: w is (classes, width + 1), the bias of each class last. */
function logitsOf(w, x, classes) {
  const width = x.length, z = new Float64Array(classes);
  for (let c = 0, i = 0; c < classes; c++, i++) {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += w[i++] * x[j];
    z[c] = sum + w[i];
  }
  return z;
}

/**
 * Mean cross-entropy + strength / 2 * the squared weights (not the biases); its gradient goes to g.
 * The gradient by the logits is p - y: see the chapter on softmax.
 */
function lossAndGradient(w, g, rows, labels, classes, strength, skip = -1) {
  const width = rows[0].length, count = rows.length - (skip >= 0);
  let loss = 0;
  for (let i = 0; i < w.length; i++) {
    g[i] = i % (width + 1) < width ? strength * w[i] : 0;
    loss += (g[i] * w[i]) / 2;
  }
  for (let r = 0; r < rows.length; r++) {
    if (r === skip) continue;
    const x = rows[r], p = softmax(logitsOf(w, x, classes));
    loss -= Math.log(Math.max(p[labels[r]], 1e-300)) / count;
    p[labels[r]] -= 1;
    for (let c = 0, i = 0; c < classes; c++) {
      const d = p[c] / count;
      for (let j = 0; j < width; j++) g[i++] += d * x[j];
      g[i++] += d;
    }
  }
  return loss;
}

/**
 * L-BFGS: steps along -(approximate inverse Hessian) @ gradient, learnt from the last ten steps.
 * evaluate(w, g) gives the loss and puts the gradient into g. Returns {w, losses}, a loss a step.
 */
function lbfgs(evaluate, w, tolerance = 1e-6, steps = 500) {
  const dot = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s; };
  let g = new Float64Array(w.length), value = evaluate(w, g);
  const memory = [], losses = [value];
  while (losses.length <= steps && g.some((v) => Math.abs(v) > tolerance)) {
    const d = g.map((v) => -v);
    for (const m of memory) {
      m.a = dot(m.s, d) / m.sy;
      for (let i = 0; i < d.length; i++) d[i] -= m.a * m.y[i];
    }
    const scale = memory.length ? memory[0].sy / dot(memory[0].y, memory[0].y) : 1 / Math.sqrt(dot(g, g));
    for (let i = 0; i < d.length; i++) d[i] *= scale;
    for (const m of memory.toReversed ? memory.toReversed() : [...memory].reverse()) {
      const b = m.a - dot(m.y, d) / m.sy;
      for (let i = 0; i < d.length; i++) d[i] += b * m.s[i];
    }
    const slope = dot(g, d), after = new Float64Array(w.length);
    let t = 1, next, lower;
    do { // halve the step until the loss falls enough
      next = w.map((v, i) => v + t * d[i]);
      lower = evaluate(next, after);
      t /= 2;
    } while (!(lower <= value + 2e-4 * t * slope) && t > 1e-10);
    if (!(lower < value)) break; // as low as the numbers allow
    const s = next.map((v, i) => v - w[i]), y = after.map((v, i) => v - g[i]), sy = dot(s, y);
    if (sy > 1e-12) memory.unshift({ s, y, sy });
    memory.length = Math.min(memory.length, 10);
    w = next; g = after; value = lower;
    losses.push(value);
  }
  return { w, losses };
}

/**
 * N rows of 1,280 features to N rows of at most N numbers, with the same angles and distances: a
 * rotation, which changes neither the loss nor the penalty. So 40 photos need 40 weights for each
 * class instead of 1,280, and leave-one-out is quick. The mean is taken off: the bias takes it up.
 * `lower` is Cholesky's factor of the matrix of all products of two rows.
 */
function rotate(rows) {
  const n = rows.length, width = rows[0].length, mean = new Float64Array(width);
  for (const x of rows) for (let j = 0; j < width; j++) mean[j] += x[j] / n;
  const centred = rows.map((x) => Float64Array.from(x, (v, j) => v - mean[j]));
  const lower = rows.map(() => new Float64Array(n));
  let largest = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += centred[i][d] * centred[j][d];
      lower[i][j] = sum;
      if (i === j) largest = Math.max(largest, sum);
    }
  for (let j = 0; j < n; j++) {
    for (let d = 0; d < j; d++)
      for (let i = j; i < n; i++) lower[i][j] -= lower[i][d] * lower[j][d];
    const pivot = lower[j][j];
    // A row that the earlier ones add up to (the same photo twice) needs no direction of its own.
    const by = pivot > 1e-9 * largest ? 1 / Math.sqrt(pivot) : 0;
    for (let i = j; i < n; i++) lower[i][j] *= by;
  }
  return { lower, centred, mean };
}

/** Weights for rotated rows back to weights for features: w (classes, width + 1). */
function rotateBack(v, { lower, centred, mean }, classes) {
  const n = lower.length, width = mean.length, w = new Float64Array(classes * (width + 1));
  for (let c = 0; c < classes; c++) {
    const a = v.slice(c * (n + 1), c * (n + 1) + n), at = c * (width + 1);
    for (let i = n - 1; i >= 0; i--) { // solve (transposed lower) a = v from the end
      for (let j = i + 1; j < n; j++) a[i] -= lower[j][i] * a[j];
      a[i] = lower[i][i] ? a[i] / lower[i][i] : 0;
    }
    let bias = v[c * (n + 1) + n];
    for (let i = 0; i < n; i++) for (let d = 0; d < width; d++) w[at + d] += a[i] * centred[i][d];
    for (let d = 0; d < width; d++) bias -= w[at + d] * mean[d];
    w[at + width] = bias;
  }
  return w;
}

/** Fit the head. rows: features; labels: 0 ... classes - 1. Gives {w, losses} and what leave-one-out needs. */
function fitHead(rows, labels, classes, strength = STRENGTH) {
  const rotated = rotate(rows), start = new Float64Array(classes * (rows.length + 1));
  const evaluate = (w, g) => lossAndGradient(w, g, rotated.lower, labels, classes, strength);
  const { w: v, losses } = lbfgs(evaluate, start);
  return { w: rotateBack(v, rotated, classes), losses, v, rotated };
}

/** The probabilities of one photo by a head that was fitted to all others; v is where to start. */
function withoutOne(r, { v, rotated: { lower } }, labels, classes, strength = STRENGTH) {
  const evaluate = (w, g) => lossAndGradient(w, g, lower, labels, classes, strength, r);
  return softmax(logitsOf(lbfgs(evaluate, v, 1e-5).w, lower[r], classes));
}

/** Mean squared distance of the rows from their mean: how far the features are spread. */
function spread(rows) {
  const { centred } = rotate(rows);
  return centred.reduce((sum, x) => sum + x.reduce((s, v) => s + v * v, 0), 0) / rows.length;
}
