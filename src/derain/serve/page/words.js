// What the page says of an image, in words.

const number = new Intl.NumberFormat("en");

/** Bytes as people write them. */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return `${value < 10 && power ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** Pixels in megapixels. */
export function megapixels(count) { return `${number.format(Math.round(count / 1e6))} megapixels`; }

/** The state of an item in one short line. */
export function state(item, hold) {
  switch (item.state) {
    case "waiting":
      if (hold?.reason === "busy") return `Server busy, again in ${hold.seconds} s`;
      if (hold?.reason === "gone") return "Waiting for the server";
      return item.place ? `Waiting, ${item.place} before it` : "Waiting";
    case "queued": return item.place > 1 ? `Place ${item.place} in the queue` : "Next in the queue";
    case "running": {
      const { done, total, left } = item.tiles;
      if (item.clip && total) return `Frame ${done} of ${total}${left ? `, ${about(left)} left` : ""}`;
      return total > 1 ? `Tile ${Math.min(done + 1, total)} of ${total}` : "Removing the rain";
    }
    case "done": {
      const { rain_found: found, seconds } = item.result.facts;
      return found ? `Done in ${duration(seconds)}` : "No rain was found";
    }
    default: return item.problem.title;
  }
}

/** The fraction that is done, or null where nobody knows. */
export function progress(item) {
  const { done, total } = item.tiles;
  if (item.state === "done") return 1;
  if (item.state !== "running") return 0;
  return total > 1 ? done / total : null;
}

const NAMES = ["Rain", "Size", "Format", "EXIF", "Colour profile", "Model"];
const CLIP_NAMES = ["Rain", "Size", "Format", "Frames", "Sound and the rest", "Model"];

/** What happened to an image or a clip: [name, text] pairs. */
export function facts(item) {
  const names = item.clip ? CLIP_NAMES : NAMES;
  if (item.state !== "done") return names.map((name) => [name, "–"]);
  const { facts: of, blob } = item.results.get(item.strength) ?? item.result;
  const sizes = `${bytes(blob.size)} (${bytes(item.file.size)} before)`;
  const texts = [
    of.rain_found ? `found; changed by ${of.change.toFixed(1)} of 255` : "none was found",
    `${number.format(of.width)} × ${number.format(of.height)} pixels, as it came`,
    ...(item.clip
      ? [`${of.format}, ${sizes}`, number.format(of.frames), "as they were"]
      : [`${of.format}, ${of.bits} bits, ${sizes}`, kept(of.exif), kept(of.icc)]),
    `${of.model}, ${duration(of.seconds)}`,
  ];
  return [
    ...names.map((name, n) => [name, texts[n]]),
    ...(of.notes?.length ? [["Notes", of.notes.join("; ")]] : []),
  ];
}

function kept(had) { return had ? "kept" : "it had none"; }

function about(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} minutes`;
}

function duration(seconds) { return `${seconds < 10 ? seconds.toFixed(2) : Math.round(seconds)} s`; }
