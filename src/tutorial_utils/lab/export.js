// What the reader takes along: the head as JSON and the photos as a zip. The Python program that uses
// the head is take_along.py.

/** The head (w: classes, width + 1; biases last) as JSON text; eight digits are float32's own. */
function headJson(names, w) {
  const width = w.length / names.length - 1, round = (v) => Number(v.toPrecision(9));
  const rows = names.map((_, c) => Array.from(w.subarray(c * (width + 1), (c + 1) * (width + 1)), round));
  return JSON.stringify({
    network: "mobilenet_v2", weights: "IMAGENET1K_V1", classes: names,
    weight: rows.map((row) => row.slice(0, width)), bias: rows.map((row) => row[width]),
  });
}

/** The check sum that a zip file wants (CRC-32), of bytes. */
function crc32(bytes) {
  crc32.table ||= Int32Array.from({ length: 256 }, (_, v) => {
    for (let i = 0; i < 8; i++) v = v & 1 ? (v >>> 1) ^ 0xedb88320 : v >>> 1;
    return v;
  });
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ crc32.table[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

/** A zip of [name, Blob] pairs, stored as they are: photos are compressed already, and the Blob keeps them on disk. */
async function zipOf(files) {
  const parts = [], directory = [];
  let at = 0, listed = 0;
  const numbers = (layout) => { // [value, bytes] pairs, the lowest byte first
    const out = [];
    for (let [value, bytes] of layout) for (; bytes > 0; bytes--, value = Math.floor(value / 256)) out.push(value % 256);
    return Uint8Array.from(out);
  };
  for (const [name, blob] of files) {
    const text = new TextEncoder().encode(name), crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    // Version 2.0, names in UTF-8, stored, 1 January 2020, check sum, size twice, length of the name.
    const common = [[20, 2], [2048, 2], [0, 2], [0, 2], [20513, 2], [crc, 4], [blob.size, 4], [blob.size, 4], [text.length, 2], [0, 2]];
    const local = numbers([[0x04034b50, 4], ...common]);
    parts.push(local, text, blob);
    const entry = numbers([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]);
    directory.push(entry, text);
    at += local.length + text.length + blob.size;
    listed += entry.length + text.length;
  }
  const end = numbers([[0x06054b50, 4], [0, 4], [files.length, 2], [files.length, 2], [listed, 4], [at, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A class's name as the name of a folder on every system. */
function folderName(name) {
  return name.normalize("NFC").replace(/[\\/:*?"<>|\u0000-\u001f]/g, " ").replace(/\s+/g, " ")
    .replace(/^[. ]+|[. ]+$/g, "").slice(0, 60) || "class";
}

/** [path, Blob] of each photo in a folder of its class; two classes of one name get two folders. */
function photoFolders(classes) {
  const taken = new Set();
  return classes.flatMap(({ name, photos }) => {
    let folder = folderName(name);
    for (let i = 2; taken.has(folder.toLowerCase()); i++) folder = `${folderName(name)} ${i}`;
    taken.add(folder.toLowerCase());
    return photos.map((blob, i) => {
      const ending = /\.\w{2,5}$/.exec(blob.name || "")?.[0].toLowerCase() ?? `.${blob.type.split("/")[1] || "jpg"}`;
      return [`${folder}/${String(i + 1).padStart(4, "0")}${ending}`, blob];
    });
  });
}
