// The image that is looked at: before and after, its strength, what happened to it.

import "./slider.js";
import { pair } from "./images.js";
import { saveOne } from "./downloads.js";
import { showProgress } from "./list.js";
import * as words from "./words.js";

const place = document.getElementById("viewer");

/** Shows one item of a queue at a time. */
export class Viewer {
  item = null;
  #seen = null; // what the stage shows: the item's result, or null

  constructor(queue, { model }) {
    Object.assign(this, { queue, model });
    place.append(document.getElementById("view").content.cloneNode(true));
    this.slider = place.querySelector("before-after");
    this.strength = place.querySelector(".strength input");
    this.saving = place.querySelector(".save");

    this.strength.addEventListener("input", () => {
      this.item.strength = Number(this.strength.value);
      this.#blend();
    });
    this.saving.addEventListener("click", () => this.#save());
    place.querySelector(".retry").addEventListener("click", () => queue.again(this.item));
    place.querySelector(".again button").addEventListener("click", () => {
      queue.again(this.item, model().name);
    });
    queue.addEventListener("change", ({ detail: item }) => { if (item === this.item) this.update(); });
    queue.addEventListener("hold", () => this.update());
  }

  show(item) {
    this.item = item;
    this.strength.value = item.strength;
    this.update();
  }

  /** Show the item as it is now. */
  update() {
    const { item } = this;
    if (!item) return;
    place.dataset.state = item.state;
    place.querySelector("#title").textContent = item.name;
    this.#message();
    if (item.state === "done") {
      this.#blend();
      this.#stage();
    } else this.#seen = null;
    this.#again();
  }

  #message() {
    const { item } = this;
    place.querySelector(".what").textContent = words.state(item, this.queue.hold);
    place.querySelector(".why").textContent = item.problem?.message ?? "";
    showProgress(place.querySelector(".message progress"), item);
  }

  async #stage() {
    const { item } = this;
    if (this.#seen === item.result) return;
    this.#seen = item.result;
    place.dataset.shown = "loading";
    const { width, height } = item.result.facts;
    this.slider.style.setProperty("--w", width);
    this.slider.style.setProperty("--h", height);
    let shown;
    try {
      shown = await pair(item);
    } catch {
      if (this.#seen === item.result) place.dataset.shown = "no";
      return;
    }
    if (this.#seen !== item.result) return; // another was chosen meanwhile
    place.querySelector(".before").src = shown.before;
    place.querySelector(".under").src = shown.before;
    place.querySelector(".after").src = shown.after;
    place.dataset.shown = "yes";
    this.slider.split = 50;
    this.slider.reset();
  }

  /** The result over the image before, as opaque as the strength: the blend that strength means. */
  #blend() {
    const { strength } = this.item;
    place.querySelector(".after").style.opacity = strength / 100;
    place.querySelector(".strength output").textContent = `${strength} %`;
    this.saving.textContent = strength === 100 ? "Download" : `Download at ${strength} %`;
    this.saving.disabled = false;
    place.querySelector(".facts").replaceChildren(...words.facts(this.item).map(([name, text]) => {
      const group = document.createElement("div");
      group.append(element("dt", name), element("dd", text));
      return group;
    }));
  }

  #again() {
    const { name } = this.model();
    const offered = this.item.state === "done" && name !== this.item.model;
    place.querySelector(".again").classList.toggle("unseen", !offered);
    place.querySelector(".again button").textContent = `Do it again with ${name}`;
  }

  async #save() {
    const { item } = this;
    const tell = (text) => {
      if (item !== this.item) return;
      this.saving.textContent = text;
      this.saving.disabled = true;
    };
    try {
      await saveOne(item, tell);
      if (item === this.item) this.#blend();
    } catch (error) {
      tell("Download failed");
    }
  }
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
