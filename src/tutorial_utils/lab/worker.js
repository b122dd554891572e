// The worker: everything that takes time, away from the page. It is made from a Blob, which works on
// file:// too, where browsers refuse to load a worker from a file.

/** What runs in the worker: it answers {id, task, ...} with {id, result} or {id, error}. */
function serve() {
  let net, kernel, random, fitted = 0;
  const SHOWN = [0, 3, 6, 13, 18], CHANNELS = 6; // the stages and channels of the look inside
  const pause = () => new Promise((ok) => setTimeout(ok)); // lets other messages in
  const crop = (message) => message.pixels ?? readCrop(message.photo, message.side ?? 224);

  /** The channels of a stage that vary most over the photo, as grey levels. */
  function thumbnails(stage, numbers, side, channels) {
    const places = side * side, sum = new Float64Array(channels), squares = new Float64Array(channels);
    numbers.forEach((v, i) => { sum[i % channels] += v; squares[i % channels] += v * v; });
    const variance = squares.map((s, c) => s / places - (sum[c] / places) ** 2);
    const most = [...variance.keys()].sort((a, b) => variance[b] - variance[a]).slice(0, CHANNELS);
    const shown = most.map((channel) => {
      const values = Float32Array.from({ length: places }, (_, p) => numbers[p * channels + channel]);
      const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
      return { channel, low, high, levels: Uint8ClampedArray.from(values, (v) => (255 * (v - low)) / (high - low || 1)) };
    });
    return { stage, side, channels, shown };
  }

  const tasks = {
    async load({ buffer, half, kernel: bytes }) {
      kernel = bytes;
      net = await makeNetwork((f) => unpack(buffer, half, f), kernel);
      return { fast: net.fast, bytes: net.bytes };
    },
    /** Features and logits of a photo (a file, or ready pixels); with `inside` the maps as well. */
    async see({ inside, ...message }) {
      const pixels = await crop(message), side = message.side ?? 224, start = performance.now(), stages = [];
      const look = inside && ((stage, ...rest) => { if (SHOWN.includes(stage)) stages.push(thumbnails(stage, ...rest)); });
      const { features, logits, map } = net.run(pixels, side, { look });
      return { features, logits, crop: pixels, stages, map, ms: performance.now() - start };
    },
    /** The head for all rows; then, in the breaks, each row by a head that has not seen it. */
    async fit({ rows, labels, classes, tell }) {
      const mine = ++fitted, fit = fitHead(rows, labels, classes), answers = [];
      tell({ w: fit.w, losses: fit.losses });
      if (labels.some((l, _, all) => all.indexOf(l) === all.lastIndexOf(l))) return { left: null }; // a lone photo
      for (let r = 0, start = performance.now(); r < rows.length; r++) {
        answers.push(withoutOne(r, fit, labels, classes));
        if (performance.now() - start > 15) { await pause(); start = performance.now(); }
        if (mine !== fitted) return { left: null, late: true }; // other photos have come meanwhile
      }
      return { left: answers };
    },
    /** Make the untrained network; its BatchNorm looks at up to four photos. */
    async untrain({ photos, seed = 1 }) {
      const crops = [];
      for (const photo of photos) crops.push(await readCrop(photo, 224));
      random = await untrainedNetwork(seed, kernel, crops);
    },
    async seeUntrained(message) {
      const { features } = random.run(await crop(message), 224);
      return { features };
    },
    /** How many of the rows are answered rightly when left out; rows may be scaled to a spread. */
    async judge({ rows, labels, classes, like }) {
      const scale = like ? Math.sqrt(spread(like) / spread(rows)) : 1;
      const fit = fitHead(rows.map((x) => x.map((v) => v * scale)), labels, classes);
      let right = 0;
      for (let r = 0; r < rows.length; r++) {
        const p = withoutOne(r, fit, labels, classes);
        right += p.indexOf(Math.max(...p)) === labels[r];
        if (r % 20 === 19) await pause();
      }
      random = null; // 25 MB given back
      return { right };
    },
  };
  onmessage = async ({ data: { id, task, ...message } }) => {
    const tell = (result) => postMessage({ id, part: result });
    try {
      const result = await tasks[task]({ ...message, tell });
      // Arrays are handed over, not copied: a webcam would leave 20 MB a second to collect.
      postMessage({ id, result }, task === "see" ? [result.crop.buffer, result.map.buffer, result.features.buffer] : []);
    }
    catch (error) { postMessage({ id, error: String(error.message || error) }); }
  };
}

/** Start a worker from the text of a script. ask(task, message, hand over, on part) promises the result. */
function startWorker(source) {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url), waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data: { id, part, result, error } }) => {
    const { ok, fail, onpart } = waiting.get(id);
    if (part) return onpart(part);
    waiting.delete(id);
    error === undefined ? ok(result) : fail(new Error(error));
  };
  worker.onerror = (event) => {
    for (const { fail } of waiting.values()) fail(new Error(event.message || "the worker stopped"));
    waiting.clear();
  };
  worker.ask = (task, message = {}, move = [], onpart = () => {}) => new Promise((ok, fail) => {
    waiting.set(++last, { ok, fail, onpart });
    worker.postMessage({ id: last, task, ...message }, move);
  });
  worker.stop = () => { // gives its memory back at once
    worker.terminate();
    URL.revokeObjectURL(url);
  };
  return worker;
}

/** Base64 to bytes. A loop: Uint8Array.from(text, f) takes twenty times as long. */
function bytesOf(base64) {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}
