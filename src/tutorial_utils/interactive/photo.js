// Photos in a figure: read from the fallback's <img>, so that the page carries each once.

import { button, h } from "./base.js";

/**
 * The pixels of an <img> once it is loaded: {width, height, data}, data as RGBA bytes (H, W, 4).
 * `host` is the figure; its fallback holds the images.
 */
export async function pixels(host, selector = "img") {
  const image = host.querySelector(selector);
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** One channel of RGBA bytes, or their luminance (ITU-R BT.601, as Pillow's "L"), as (H, W) floats. */
export function plane({ width, height, data }, channel = "grey") {
  const out = new Float64Array(width * height);
  for (let i = 0; i < out.length; i++)
    out[i] = channel === "grey"
      ? 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]
      : data[4 * i + channel];
  return out;
}

/** A canvas with a text for those who do not see it; paint(values, colour) fills it. */
export function picture(label, width, height, scale = 1) {
  const canvas = h("canvas", { width, height, role: "img", "aria-label": label,
    style: `width:${width * scale}px;image-rendering:${scale > 1 ? "pixelated" : "auto"}` });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  /** Draw an array of width * height values; colour(value) gives a grey level or [r, g, b]. */
  canvas.paint = (values, colour = (v) => v) => {
    for (let i = 0; i < values.length; i++) {
      const c = colour(values[i], i), [r, g, b] = c.length ? c : [c, c, c];
      image.data.set([r, g, b, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
  };
  canvas.context = context;
  return canvas;
}

/** A button that reads a picture of the reader's: its middle square, at side() pixels, as ImageData. */
export function ownPicture(use, side) {
  const input = h("input", { type: "file", accept: "image/*" }), b = button("Your own picture", () => input.click());
  input.onchange = async () => {
    const found = await createImageBitmap(input.files[0]).catch(() => null);
    if (!found) return (b.textContent = "Not a picture: another?");
    const n = side(), context = h("canvas", { width: n, height: n }).getContext("2d"), { width, height } = found;
    const edge = Math.min(width, height);
    context.drawImage(found, (width - edge) / 2, (height - edge) / 2, edge, edge, 0, 0, n, n);
    use(context.getImageData(0, 0, n, n));
  };
  return b;
}
