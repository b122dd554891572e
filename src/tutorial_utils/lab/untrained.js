// The network before any training: the same layers, random weights. What it gets right on the
// reader's photos is what the architecture alone can do; the rest came from pretraining.

/** Random numbers in [0, 1) from a seed (mulberry32): the same untrained network every time. */
function uniform(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** He's initialisation: normal numbers of variance 2 / inputs, biases 0 (Box and Muller, in pairs). */
function heWeights(seed) {
  const next = uniform(seed);
  return (f) => {
    let at = 0;
    for (const { inputs, outputs } of layerTable()) {
      for (const end = at + inputs * outputs; at < end; at += 2) {
        const radius = Math.sqrt((-4 * Math.log(1 - next())) / inputs), angle = 2 * Math.PI * next();
        f[at] = radius * Math.cos(angle);
        f[at + 1] = radius * Math.sin(angle);
      }
      f.fill(0, at, at += outputs);
    }
  };
}

/**
 * Fold BatchNorm into a layer that just ran without it: scale and shift each channel so that what
 * comes out has mean 0 and variance 1 over all places. This is what BatchNorm does in the first
 * step of a training, with the photos at hand as the batch.
 */
function foldBatchNorm({ kind, inputs, outputs: n }, numbers, w, bias) {
  const sum = new Float64Array(n), squares = new Float64Array(n), count = numbers.length / n;
  numbers.forEach((v, i) => { sum[i % n] += v; squares[i % n] += v * v; });
  for (let c = 0; c < n; c++) {
    const mean = sum[c] / count, std = Math.sqrt(squares[c] / count - mean * mean + 1e-5);
    bias[c] = -mean / std;
    // Depthwise weights lie as (9, n), all others as strips of eight columns: (n / 8, inputs, 8).
    for (let k = 0; k < inputs; k++)
      w[kind === "depthwise" ? k * n + c : (c - (c % 8)) * inputs + 8 * k + (c % 8)] /= std;
  }
}

/** Four crops (side, side) as one picture of twice the side: a batch that `run` takes as an image. */
function collage(crops, side) {
  const out = new Uint8ClampedArray(16 * side * side), row = 4 * side;
  for (let q = 0; q < 4; q++)
    for (let y = 0; y < side; y++)
      out.set(crops[q % crops.length].subarray(y * row, (y + 1) * row),
        ((q >> 1) * side + y) * 2 * row + (q & 1) * row);
  return out;
}

/** The untrained network, its BatchNorm folded for up to four of the reader's photos (crops). */
async function untrainedNetwork(seed, kernel, crops, side = 224) {
  let settled;
  const large = await makeNetwork((f) => { heWeights(seed)(settled = f); }, kernel, 2 * side);
  large.run(collage(crops, side), 2 * side, { settle: foldBatchNorm });
  const count = layerTable().reduce((sum, { inputs, outputs }) => sum + (inputs + 1) * outputs, 0);
  return makeNetwork((f) => f.set(settled.subarray(0, count)), kernel, side);
}
