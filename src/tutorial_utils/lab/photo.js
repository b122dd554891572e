// A photo as the network wants it: the short edge resized to 256 pixels, then the middle 224 x 224.
// The resize is Pillow's, integer for integer: a browser's own gives features that differ.

/** For each of `count` outputs from `first` on: where its inputs start, and their weights * 2**22. */
function triangle(inputs, outputs, first, count) {
  const scale = inputs / outputs, reach = Math.max(scale, 1); // wider than a pixel: no aliasing
  return Array.from({ length: count }, (_, i) => {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(inputs, Math.trunc(centre + reach + 0.5));
    const w = Float64Array.from({ length: end - start },
      (_, j) => Math.max(0, 1 - Math.abs((start + j - centre + 0.5) / reach)));
    const sum = w.reduce((a, b) => a + b, 0);
    return { start, end, w: Int32Array.from(w, (v) => 0.5 + (v / sum) * 4194304) };
  });
}

/** Half of n, a .5 rounded to the even neighbour: torchvision's crop rounds as Python does. */
function halfOf(n) {
  return n % 4 === 3 ? (n + 1) / 2 : n >> 1;
}

/**
 * RGBA bytes (side, side, 4) of a photo, its short edge resized to `short`, then the middle of it.
 * read(x, y, width, height) gives the photo's RGBA bytes there. It is asked for 64 rows at a time:
 * a photo of 48 megapixels would take 192 MB at once.
 */
function resizeAndCrop(read, width, height, short, side) {
  const small = Math.min(width, height);
  const w = Math.trunc((short * width) / small), h = Math.trunc((short * height) / small);
  const columns = triangle(width, w, halfOf(w - side), side);
  const rows = triangle(height, h, halfOf(h - side), side);
  const left = columns[0].start, wide = columns[side - 1].end - left;
  const top = rows[0].start, bottom = rows[side - 1].end;
  const between = new Uint8Array((bottom - top) * side * 4); // bytes: Pillow rounds here as well
  for (let y = top, o = 0; y < bottom; y += 64) {
    const count = Math.min(64, bottom - y), data = read(left, y, wide, count);
    for (let row = 0; row < count; row++)
      for (const { start, w } of columns) {
        let r = 2097152, g = r, b = r; // one half, so that >> rounds
        for (let j = 0, i = (row * wide + start - left) * 4; j < w.length; j++, i += 4) {
          r += w[j] * data[i]; g += w[j] * data[i + 1]; b += w[j] * data[i + 2];
        }
        between[o++] = r >> 22; between[o++] = g >> 22; between[o++] = b >> 22; between[o++] = 255;
      }
  }
  const out = new Uint8ClampedArray(side * side * 4);
  for (let y = 0, o = 0; y < side; y++) {
    const { start, w } = rows[y];
    for (let x = 0; x < side * 4; x++) {
      let sum = 2097152;
      for (let j = 0, i = (start - top) * side * 4 + x; j < w.length; j++, i += side * 4) sum += w[j] * between[i];
      out[o++] = sum >> 22;
    }
  }
  return out;
}

/** The crop of a decoded photo (an ImageBitmap); transparent places become white. */
function cropOf(bitmap, side) {
  const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d", { willReadFrequently: true });
  const read = (x, y, width, height) => {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height < height) canvas.height = height;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, x, y, width, height, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  return resizeAndCrop(read, bitmap.width, bitmap.height, Math.round((side * 256) / 224), side);
}

/** The crop of pixels (an ImageData). */
function cropOfPixels({ data, width, height }, side) {
  const read = (x, y, wide, high) => {
    const out = new Uint8Array(4 * wide * high), row = 4 * wide;
    for (let r = 0, from = 4 * (y * width + x); r < high; r++, from += 4 * width) out.set(data.subarray(from, from + row), r * row);
    return out;
  };
  return resizeAndCrop(read, width, height, Math.round((side * 256) / 224), side);
}

/**
 * The crop of a photo file: upright by its EXIF data, without colour management, because that is
 * how the network saw photos when it was trained. A frame of the webcam comes as its pixels.
 */
async function readCrop(file, side) {
  if (file instanceof ImageData) return cropOfPixels(file, side);
  const bitmap = await sixteenBits(file)
    || await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  try { return cropOf(bitmap, side); }
  finally { bitmap.close(); }
}

/**
 * A grey PNG of 16 bits, such as a microscope's or an X-ray's, uses what part of its range it likes: a
 * browser shows it black. Stretched from its darkest to its brightest value, as `read_photo` does.
 * Null for all other files.
 */
async function sixteenBits(file) {
  const head = new DataView(await file.slice(0, 33).arrayBuffer());
  if (head.byteLength < 33 || head.getUint32(0) !== 0x89504e47 || head.getUint8(24) !== 16
    || head.getUint8(25) !== 0 || head.getUint8(28) !== 0) return null; // 16-bit, grey, not interlaced
  const width = head.getUint32(16), height = head.getUint32(20), row = 2 * width + 1;
  const view = new DataView(await file.arrayBuffer()), parts = [];
  for (let at = 8; at + 12 <= view.byteLength; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x74524e53) return null; // a tRNS chunk: one grey is transparent
    if (view.getUint32(at + 4) === 0x49444154) parts.push(new Uint8Array(view.buffer, at + 8, view.getUint32(at))); // IDAT
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  if (data.length < row * height) throw new Error("the file is cut off");
  const paeth = (a, b, c) => {
    const p = a + b - c, da = Math.abs(p - a), db = Math.abs(p - b), dc = Math.abs(p - c);
    return da <= db && da <= dc ? a : db <= dc ? b : c;
  };
  const grey = new Uint16Array(width * height);
  let low = 65535, high = 0;
  for (let y = 0; y < height; y++)
    for (let i = 1, at = y * row; i < row; i++) { // each row says how it was predicted
      const left = i > 2 ? data[at + i - 2] : 0, up = y ? data[at - row + i] : 0;
      const corner = y && i > 2 ? data[at - row + i - 2] : 0;
      data[at + i] += [0, left, up, (left + up) >> 1, paeth(left, up, corner)][data[at]];
      if (i % 2) continue;
      const v = grey[y * width + i / 2 - 1] = 256 * data[at + i - 1] + data[at + i];
      low = Math.min(low, v); high = Math.max(high, v);
    }
  const image = new ImageData(width, height), scale = high > low ? 255 / (high - low) : 0;
  grey.forEach((v, i) => image.data.set([0, 0, 0, 255].fill(Math.floor((v - low) * scale), 0, 3), 4 * i));
  return createImageBitmap(image);
}
