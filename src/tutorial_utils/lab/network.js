// MobileNetV2 in plain JavaScript; its two inner loops are in kernel.wat where the browser has SIMD.
// Float32 throughout. An image is pixels times channels, the channels of a pixel side by side.
// BatchNorm is already folded into the convolutions: pack.py says how.

/**
 * The layers in order. `inputs` counts what one output number is summed up from; `stage` is the
 * number that torchvision gives to the block which ends here (model.features[stage]).
 */
function layerTable() {
  const layers = [{ kind: "first", inputs: 27, outputs: 32, stride: 2, stage: 0 }];
  // Sandler et al. (2018), table 2: expansion, channels, repeats, stride of the first one.
  const blocks = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1],
    [6, 160, 3, 2], [6, 320, 1, 1]];
  let channels = 32, stage = 0;
  for (const [expansion, outputs, repeats, stride] of blocks)
    for (let i = 0; i < repeats; i++) {
      const wide = channels * expansion;
      if (expansion > 1) layers.push({ kind: "expand", inputs: channels, outputs: wide });
      layers.push({ kind: "depthwise", inputs: 9, outputs: wide, stride: i ? 1 : stride });
      layers.push({ kind: "project", inputs: wide, outputs, joins: i > 0, stage: ++stage });
      channels = outputs;
    }
  layers.push({ kind: "expand", inputs: channels, outputs: 1280, stage: ++stage });
  layers.push({ kind: "head", inputs: 1280, outputs: 1000 });
  return layers;
}

/** All 65,536 float16 numbers, so that unpacking one is a look-up. */
function halfTable() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  });
}

/** The packed file to float32: all biases first, then each layer's weights; out: both by layer. */
function unpack(buffer, half, out) {
  const layers = layerTable(), total = layers.reduce((sum, { outputs }) => sum + outputs, 0);
  const biases = new Float32Array(buffer, 0, total), table = half && halfTable();
  const numbers = new (half ? Uint16Array : Float32Array)(buffer, 4 * total);
  let from = 0, to = 0, channel = 0;
  for (const { inputs, outputs } of layers) {
    for (const end = from + inputs * outputs; from < end; from++, to++)
      out[to] = half ? table[numbers[from]] : numbers[from];
    for (const end = channel + outputs; channel < end; channel++, to++) out[to] = biases[channel];
  }
}

/** The two loops in JavaScript, for browsers without SIMD; kernel.wat explains them. */
function plainKernel(f) {
  // A tile of 4 x 4: sixteen sums are as many as a processor keeps in registers one by one.
  function product(input, w, bias, out, rows, k, n, low, top) {
    input >>= 2; w >>= 2; bias >>= 2; out >>= 2; // pointers count bytes, indices float32 numbers
    for (; rows > 0; rows -= 4, input += 4 * k, out += 4 * n)
      for (let j = 0; j < n; j += 4) {
        const b0 = f[bias + j], b1 = f[bias + j + 1], b2 = f[bias + j + 2], b3 = f[bias + j + 3];
        let p0 = input, p1 = p0 + k, p2 = p1 + k, p3 = p2 + k;
        let q = w + (j & ~7) * k + (j & 4); // strips of eight columns
        let s00 = b0, s01 = b1, s02 = b2, s03 = b3, s10 = b0, s11 = b1, s12 = b2, s13 = b3;
        let s20 = b0, s21 = b1, s22 = b2, s23 = b3, s30 = b0, s31 = b1, s32 = b2, s33 = b3;
        for (const end = p1; p0 < end; q += 8) {
          const w0 = f[q], w1 = f[q + 1], w2 = f[q + 2], w3 = f[q + 3];
          const x0 = f[p0++], x1 = f[p1++], x2 = f[p2++], x3 = f[p3++];
          s00 += x0 * w0; s01 += x0 * w1; s02 += x0 * w2; s03 += x0 * w3;
          s10 += x1 * w0; s11 += x1 * w1; s12 += x1 * w2; s13 += x1 * w3;
          s20 += x2 * w0; s21 += x2 * w1; s22 += x2 * w2; s23 += x2 * w3;
          s30 += x3 * w0; s31 += x3 * w1; s32 += x3 * w2; s33 += x3 * w3;
        }
        let o = out + j;
        f[o] = s00; f[o + 1] = s01; f[o + 2] = s02; f[o + 3] = s03; o += n;
        f[o] = s10; f[o + 1] = s11; f[o + 2] = s12; f[o + 3] = s13; o += n;
        f[o] = s20; f[o + 1] = s21; f[o + 2] = s22; f[o + 3] = s23; o += n;
        f[o] = s30; f[o + 1] = s31; f[o + 2] = s32; f[o + 3] = s33;
        if (top < Infinity)
          for (o = out + j; o < out + 4 * n; o += n)
            for (let i = o; i < o + 4; i++) f[i] = f[i] < low ? low : f[i] > top ? top : f[i];
      }
  }

  function nine(p0, p1, p2, p3, p4, p5, p6, p7, p8, w, bias, out, n, low, top) {
    p0 >>= 2; p1 >>= 2; p2 >>= 2; p3 >>= 2; p4 >>= 2; p5 >>= 2; p6 >>= 2; p7 >>= 2; p8 >>= 2;
    w >>= 2; bias >>= 2; out >>= 2;
    for (let j = 0; j < n; j++) {
      let q = w + j, s = f[bias + j] + f[p0 + j] * f[q];
      s += f[p1 + j] * f[q += n]; s += f[p2 + j] * f[q += n]; s += f[p3 + j] * f[q += n];
      s += f[p4 + j] * f[q += n]; s += f[p5 + j] * f[q += n]; s += f[p6 + j] * f[q += n];
      s += f[p7 + j] * f[q += n]; s += f[p8 + j] * f[q += n];
      f[out + j] = s < low ? low : s > top ? top : s;
    }
  }
  return { product, nine };
}

/**
 * A network that is ready to run. `fill(f)` writes the weights into the front of the memory.
 * `kernel` is the bytes of the WebAssembly module; without it JavaScript does the same, slower.
 * `largest`: pixels of a side that it makes room for.
 */
async function makeNetwork(fill, kernel, largest = 224) {
  const layers = layerTable(), quarter = (largest / 2) ** 2, place = {};
  const count = layers.reduce((sum, { inputs, outputs }) => sum + (inputs + 1) * outputs, 0);
  // Numbers to keep: the weights, the padding, a block's input and output, and the wide middle of
  // a block before and after its depthwise layer. The largest are those of the first blocks.
  const room = { weights: count, zeros: 960, x: quarter * 32, y: quarter * 32,
    wide: quarter * 96, deep: quarter * 36 };
  let bytes = 0;
  for (const name in room) {
    place[name] = bytes;
    bytes += (room[name] * 4 + 4 * 1280 * 4 + 15) & ~15; // spare rows: the kernel writes in fours
  }
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  const f = new Float32Array(memory.buffer);
  fill(f);
  const fast = !!kernel && WebAssembly.validate(kernel); // false where the browser has no SIMD
  const { product, nine } = fast
    ? (await WebAssembly.instantiate(kernel, { js: { memory } })).instance.exports : plainKernel(f);

  /** For each output of the first layer, the 27 numbers under its kernel: 3 x 3 pixels, 3 colours. */
  function patches(pixels, side, to) {
    const mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225]; // of ImageNet's photos
    const value = mean.map((m, c) => Float32Array.from({ length: 256 }, (_, v) => (v / 255 - m) / std[c]));
    let o = to >> 2;
    for (let y = -1; y < side - 1; y += 2)
      for (let x = -1; x < side - 1; x += 2)
        for (let i = y; i < y + 3; i++)
          for (let j = x; j < x + 3; j++) {
            const inside = i >= 0 && j >= 0 && i < side && j < side, p = 4 * (i * side + j);
            for (let c = 0; c < 3; c++) f[o++] = inside ? value[c][pixels[p + c]] : 0;
          }
  }

  /** A 3 x 3 convolution for each channel on its own. Returns the side of what comes out. */
  function depthwise(from, w, bias, to, side, n, stride, low, top) {
    const row = 4 * n;
    const at = (i, j) => i < 0 || j < 0 || i >= side || j >= side ? place.zeros : from + (i * side + j) * row;
    for (let y = 0; y < side; y += stride)
      for (let x = 0; x < side; x += stride, to += row)
        nine(at(y - 1, x - 1), at(y - 1, x), at(y - 1, x + 1), at(y, x - 1), at(y, x), at(y, x + 1),
          at(y + 1, x - 1), at(y + 1, x), at(y + 1, x + 1), w, bias, to, n, low, top);
    return Math.ceil(side / stride);
  }

  /**
   * RGBA bytes (side, side, 4) to {features, logits, map}: `map` is what the features are the mean
   * of, (49, 1280) for 224 pixels. `look(stage, numbers, side, channels)` is called after each block.
   * `settle(layer, numbers, w, bias)` may change a layer's weights after it ran; it runs again then.
   */
  function run(pixels, side, { look, settle } = {}) {
    let { x, y, wide, deep, weights: w } = place, inside = wide, features, map, out;
    for (const layer of layers) {
      const { kind, inputs: k, outputs: n, stride, stage } = layer, bias = w + 4 * k * n, before = side;
      const compute = (low, top) => {
        side = before;
        if (kind === "first") {
          patches(pixels, side, wide);
          side /= 2;
          product(wide, w, bias, out = x, side * side, k, n, low, top);
        } else if (kind === "expand") product(x, w, bias, out = wide, side * side, k, n, low, top);
        else if (kind === "depthwise") side = depthwise(inside, w, bias, out = deep, side, n, stride, low, top);
        else product(deep, w, bias, out = y, side * side, k, n, low, top);
      };
      const view = (pointer, count) => f.subarray(pointer >> 2, (pointer >> 2) + count);
      if (kind === "head") {
        // The mean over all places, then one row times the matrix.
        map = view(wide, side * side * k);
        features = new Float32Array(k);
        map.forEach((v, i) => { features[i % k] += v / (side * side); });
        f.set(features, deep >> 2);
        side = 1;
        product(deep, w, bias, y, 1, k, n, -Infinity, Infinity);
        break;
      }
      if (settle) {
        compute(-Infinity, Infinity);
        settle(layer, view(out, side * side * n), view(w, k * n), view(bias, n));
      }
      // A ReLU6 everywhere but at a block's end, which is linear.
      if (kind === "project") compute(-Infinity, Infinity);
      else compute(0, 6);
      if (layer.joins) for (let i = 0; i < side * side * n; i++) f[(y >> 2) + i] += f[(x >> 2) + i];
      if (look && stage !== undefined) look(stage, view(out, side * side * n), side, n);
      if (kind === "project") [x, y] = [y, x];
      inside = kind === "first" ? x : wide; // the first block has no expansion
      w = bias + 4 * n;
    }
    return { features, logits: f.slice(y >> 2, (y >> 2) + 1000), map: map.slice() };
  }

  run(new Uint8Array(4 * 32 * 32), 32); // browsers compile while it runs: not in the reader's time
  return { run, fast, bytes: memory.buffer.byteLength };
}
