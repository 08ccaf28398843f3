// The list of images: a row each, with its state and progress.

import * as words from "./words.js";
import { thumbnail } from "./images.js";

const rows = document.getElementById("rows");
const template = document.getElementById("row");

/**
 * @param {Queue} queue
 * @param {(item: Item) => void} choose  Called when a row is pressed.
 * @returns {{mark: (item: Item) => void}}  mark() shows which row is looked at.
 */
export function list(queue, choose) {
  const rowOf = new Map();

  queue.addEventListener("add", ({ detail: item }) => {
    const row = template.content.firstElementChild.cloneNode(true);
    rowOf.set(item, row);
    row.querySelector(".name").textContent = item.name;
    row.querySelector(".name").title = item.name;
    row.querySelector(".pick").addEventListener("click", () => choose(item));
    row.querySelector(".remove").addEventListener("click", () => queue.remove(item));
    row.querySelector(".remove").setAttribute("aria-label", `Remove ${item.name}`);
    row.addEventListener("keydown", (event) => press(event, row, () => queue.remove(item)));
    show(row, item);
    rows.append(row);
    thumbnail(item.file, row.querySelector("canvas"));
  });
  queue.addEventListener("remove", ({ detail: item }) => {
    const row = rowOf.get(item);
    const next = row.nextElementSibling ?? row.previousElementSibling;
    if (row.contains(document.activeElement)) next?.querySelector(".pick").focus();
    row.remove();
    rowOf.delete(item);
  });
  queue.addEventListener("change", ({ detail: item }) => {
    if (rowOf.has(item)) show(rowOf.get(item), item);
  });
  queue.addEventListener("hold", () => rowOf.forEach((row, item) => show(row, item)));

  function show(row, item) {
    row.dataset.state = item.state;
    row.querySelector(".state").textContent = words.state(item, queue.hold);
    if (item.result && row.drawn !== item.result) {
      row.drawn = item.result;
      thumbnail(item.result.blob, row.querySelector("canvas"));
    }
    showProgress(row.querySelector("progress"), item);
  }

  return {
    mark(chosen) {
      for (const [item, row] of rowOf) {
        row.querySelector(".pick").setAttribute("aria-current", String(item === chosen));
      }
    },
  };
}

/** Set a progress bar; it moves by itself where the fraction is not known. */
export function showProgress(bar, item) {
  const fraction = words.progress(item);
  bar.hidden = item.state === "done" || item.state === "failed";
  if (fraction === null) bar.removeAttribute("value");
  else bar.value = fraction;
}

function press(event, row, remove) {
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (next) next.querySelector(".pick").focus();
  else if (event.key === "Delete") remove();
  else return;
  event.preventDefault();
}
