// How images come in: dropped, pasted, chosen or photographed; and what cannot be done with some.

import { Problem } from "./server.js";
import { bytes } from "./words.js";

const CLIP = /^video\/|\.(mp4|mov|mkv|webm|avi|m4v)$/i;
const HEIC = /^image\/hei[cf]$|\.(heic|heif)$/i;

function impossible(title, detail) { return new Problem({ title, detail, final: true }); }

/** Whether a file is a clip, by what the browser or its name says. */
export function isClip(file) { return is(CLIP, file); }

function is(pattern, file) { return pattern.test(file.type) || pattern.test(file.name); }

/**
 * Why this server cannot do a file, as far as that is known before it is sent.
 *
 * @param {File} file
 * @param {object} offers  The answer of GET /v1/models.
 * @returns {Problem | null}
 */
export function refusal(file, { limits, clip_limits: clips, formats, video }) {
  const reads = formats.read.join(" ");
  if (file.size === 0) return impossible("Empty file", "It holds no bytes.");
  if (isClip(file) && !video) {
    return impossible(
      "Clips cannot be done here",
      'This server removes rain from images only. For clips it needs pip install "derain[video]".',
    );
  }
  if (is(HEIC, file) && !/hei[cf]/i.test(reads)) {
    return impossible(
      "HEIC cannot be read here",
      "Save it as JPEG and add that. An iPhone photographs in JPEG with Settings, Camera, "
        + "Formats, Most Compatible.",
    );
  }
  const most = isClip(file) ? clips.bytes : limits.bytes;
  if (file.size > most) {
    return impossible(
      "Too large",
      `It has ${bytes(file.size)}; this server takes up to ${bytes(most)}. `
        + "derain restore on the command line has no such limit.",
    );
  }
  return null;
}

/**
 * Listen for files.
 *
 * @param {(files: File[]) => void} take
 */
export function listen(take) {
  const pick = (list) => { if (list?.length) take([...list]); };
  for (const button of document.querySelectorAll("[data-choose]")) {
    const input = document.getElementById(button.dataset.choose);
    button.addEventListener("click", () => input.click());
  }
  for (const id of ["files", "camera"]) {
    document.getElementById(id).addEventListener("change", (event) => {
      pick(event.target.files);
      event.target.value = ""; // the same file may be chosen again
    });
  }
  document.addEventListener("paste", (event) => pick(event.clipboardData.files));

  const over = (is) => document.documentElement.classList.toggle("dropping", is);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    pick(event.dataTransfer.files);
  });
}
