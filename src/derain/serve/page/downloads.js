// Results as files: one, or all in an archive.

import { Busy, restore } from "./server.js";
import { zip } from "./zip.js";

// The usual endings; the first is written where an image came under another.
const ENDINGS = {
  JPEG: ["jpg", "jpeg"], TIFF: ["tif", "tiff"], PPM: ["ppm", "pgm"], JPEG2000: ["jp2"],
  MP4: ["mp4", "m4v", "3gp"], TS: ["ts", "mts", "m2ts"], MPG: ["mpg", "mpeg"],
};

/** photo.jpg -> photo_derained.jpg, as derain restore names it. */
export function resultName(item) {
  const format = item.result.facts.format.toUpperCase();
  const endings = ENDINGS[format] ?? [format.toLowerCase()];
  const dot = item.name.lastIndexOf(".");
  const stem = dot > 0 ? item.name.slice(0, dot) : item.name;
  const ending = dot > 0 ? item.name.slice(dot + 1) : "";
  return `${stem}_derained.${endings.includes(ending.toLowerCase()) ? ending : endings[0]}`;
}

/**
 * The result at the item's strength.
 *
 * Below 100 % the server makes it: a canvas would lose EXIF, the colour profile and 16 bits.
 *
 * @param {(text: string) => void} tell  Says what is waited for.
 */
export async function result(item, tell) {
  const { strength, model } = item;
  while (!item.results.has(strength)) {
    tell(`Making it at ${strength} %`);
    try {
      const options = { model, strength: strength / 100 };
      item.results.set(strength, await restore(item.file, options, () => {}, item.stop.signal));
    } catch (error) {
      if (!(error instanceof Busy)) throw error;
      for (let seconds = Math.ceil(error.seconds); seconds > 0; seconds -= 1) {
        tell(`Server busy, again in ${seconds} s`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }
  return item.results.get(strength).blob;
}

/** Save one result. */
export async function saveOne(item, tell) {
  save(await result(item, tell), resultName(item));
  item.saved = true;
}

/** Save all results as derained.zip. */
export async function saveAll(items, tell) {
  const files = [];
  const taken = new Set();
  for (const item of items) {
    files.push({ name: unused(resultName(item), taken), blob: await result(item, tell) });
  }
  save(await zip(files), "derained.zip");
  for (const item of items) item.saved = true;
}

function unused(name, taken) {
  const dot = name.lastIndexOf(".");
  let free = name;
  for (let n = 2; taken.has(free.toLowerCase()); n += 1) {
    free = `${name.slice(0, dot)} (${n})${name.slice(dot)}`;
  }
  taken.add(free.toLowerCase());
  return free;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser is still reading it
}
