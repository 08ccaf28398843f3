// Images as the browser can show them.

import { restore } from "./server.js";

/** Draw the middle of an image into a square canvas; what the browser cannot read stays empty. */
export async function thumbnail(file, canvas) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    return;
  }
  const side = Math.min(image.width, image.height);
  const [left, top] = [(image.width - side) / 2, (image.height - side) / 2];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, side, side, 0, 0, canvas.width, canvas.height);
  image.close();
}

/**
 * Addresses of an item's image before and after, which the browser can show.
 *
 * A browser shows no TIFF, for one. The server then writes both as JPEG, for the eye alone.
 *
 * @returns {Promise<{before: string, after: string, width: number, height: number}>}
 */
export async function pair(item) {
  if (!item.shown) {
    const files = [item.file, item.result.blob];
    item.shown = Promise.all(files.map(url)).catch(() => Promise.all(
      [0, 1].map((strength) => drawn(item, strength).then(url)),
    ));
    item.shown.catch(() => { item.shown = null; }); // ask again next time
  }
  const [before, after] = await item.shown;
  return { before, after };
}

async function drawn(item, strength) {
  const options = { model: item.model, strength, format: "jpg" };
  return (await restore(item.file, options, () => {}, item.stop.signal)).blob;
}

async function url(blob) {
  const address = URL.createObjectURL(blob);
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
  return address;
}
