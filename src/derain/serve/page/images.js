// Images as the browser can show them.

import { isClip } from "./intake.js";
import { restore } from "./server.js";

/** Draw the middle of an image into a square canvas, or its ending where the browser cannot. */
export async function thumbnail(file, canvas) {
  const context = canvas.getContext("2d");
  const { width } = canvas;
  let image;
  try {
    image = await createImageBitmap(isClip(file) ? await frame(file) : file);
  } catch {
    if (!file.name) return; // a result: the one of the image before stays
    Object.assign(context, { font: "600 26px system-ui", textAlign: "center", fillStyle: "#808890" });
    const ending = /\.(\w{1,4})$/.exec(file.name)?.[1] ?? "?";
    context.fillText(ending.toUpperCase(), width / 2, width / 2 + 9);
    return;
  }
  const side = Math.min(image.width, image.height);
  const [left, top] = [(image.width - side) / 2, (image.height - side) / 2];
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, side, side, 0, 0, width, width);
  image.close();
}

const known = new WeakMap(); // blob -> its address as a promise, which fails where it has none

/** The address of an image as it came or of a clip's start, or null where there is none to show. */
export function original(item) {
  if (item.clip) item.start ??= still(item.file);
  return Promise.resolve(item.start ?? item.file).then((blob) => address(blob)).catch(() => null);
}

/**
 * The addresses of an item's image before and after.
 *
 * A browser shows no TIFF, for one. The server then writes both as JPEG, for the eye alone.
 *
 * @returns {Promise<[string, string]>}
 */
export async function pair(item) {
  try {
    return await Promise.all([item.file, item.result.blob].map((blob) => address(blob, item.clip)));
  } catch (error) {
    if (item.clip) throw error;
    item.result.drawn ??= [drawn(item, 0), drawn(item, 1)];
    return Promise.all(item.result.drawn.map(async (blob) => address(await blob)));
  }
}

async function drawn(item, strength) {
  const options = { model: item.model, strength, format: "jpg" };
  return (await restore(item.file, options, () => {}, item.stop.signal)).blob;
}

/** Give up the addresses of an item, and with them the browser's memory of its images. */
export function release(item) {
  item.start?.then((blob) => forget(blob), () => {});
  const results = [...item.results.values()].map((result) => result.blob);
  for (const blob of [item.file, ...results]) forget(blob);
}

function forget(blob) {
  known.get(blob)?.then(URL.revokeObjectURL, () => {});
  known.delete(blob);
}

function address(blob, clip = false) {
  if (!known.has(blob)) known.set(blob, decode(blob, clip));
  return known.get(blob);
}

async function decode(blob, clip) {
  const address = URL.createObjectURL(blob);
  try {
    if (clip) await firstFrame(address);
    else await Object.assign(new Image(), { src: address }).decode();
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
  return address;
}

function firstFrame(address) {
  return new Promise((resolve, reject) => {
    const video = document.createElement("video");
    video.addEventListener("loadeddata", () => resolve(video));
    video.addEventListener("error", () => reject(video.error));
    Object.assign(video, { muted: true, preload: "auto", src: address });
  });
}

/** The first frame of a clip as an image. */
async function still(file) {
  const video = await frame(file);
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg" });
}

/** The first frame of a clip, in a video that is not shown. */
async function frame(file) {
  const address = URL.createObjectURL(file);
  try {
    return await firstFrame(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}
