// The images and clips of this page, in their order, and which of them are at the server.

import { alive, Busy, Gone, Problem, restore } from "./server.js";

// Each job keeps a connection open for its events, and browsers allow six to a server.
const AT_ONCE = 3;
const ASK_AGAIN = 2; // seconds between questions to a server that does not answer

/** One image or clip. Its state is waiting, queued, running, done or failed. */
export class Item {
  constructor(file, model, { example = false, clip = false } = {}) {
    Object.assign(this, { file, model, example, clip });
    this.id = crypto.randomUUID?.() ?? String(Math.random());
    this.state = "waiting";
    this.place = 0; // waiting: images before it; queued: its place at the server, from 1
    this.tiles = { done: 0, total: 0 }; // a clip's frames, then with the seconds that are left
    this.problem = null;
    this.results = new Map(); // strength in percent -> {blob, facts}
    this.strength = 100; // percent
    this.saved = false;
    this.stop = new AbortController();
  }

  get name() { return this.file.name; }

  /** The result of the whole strength: {blob, facts}. */
  get result() { return this.results.get(100); }
}

/**
 * Events: "add" and "remove" with the item in detail, "change" with the item whose state changed,
 * "hold" when the server becomes busy or silent or answers again.
 */
export class Queue extends EventTarget {
  items = [];
  hold = null; // why nothing is sent: {reason: "busy" or "gone", seconds} or null
  #atOnce = AT_ONCE;
  #active = new Set();

  /** @param {number} jobs  How many jobs the server takes from one client. */
  limit(jobs) { this.#atOnce = Math.max(1, Math.min(AT_ONCE, jobs || AT_ONCE)); }

  add(item) {
    this.items.push(item);
    this.#tell("add", item);
    this.#next();
  }

  /** Take an item that is known to be impossible, so that the list says why. */
  refuse(item, problem) {
    this.items.push(item);
    Object.assign(item, { state: "failed", problem });
    this.#tell("add", item);
  }

  remove(item) {
    this.items.splice(this.items.indexOf(item), 1);
    item.stop.abort();
    this.#tell("remove", item);
    this.#next();
  }

  /** Do an image again, perhaps with another model. */
  again(item, model = item.model) {
    Object.assign(item, { model, state: "waiting", problem: null, saved: false });
    item.results.clear();
    this.#tell("change", item);
    this.#next();
  }

  #tell(name, item) { this.dispatchEvent(new CustomEvent(name, { detail: item })); }

  #next() {
    const waiting = this.items.filter((item) => item.state === "waiting" && !this.#active.has(item));
    while (!this.hold && waiting.length && this.#active.size < this.#atOnce) {
      this.#send(waiting.shift());
    }
    waiting.forEach((item, before) => {
      item.place = this.#active.size + before;
      this.#tell("change", item);
    });
  }

  async #send(item) {
    this.#active.add(item);
    const tell = (state, data) => {
      if (state === "tile" || state === "frame") item.tiles = data;
      else item.state = state;
      if (state === "queued") item.place = data.position;
      this.#tell("change", item);
    };
    try {
      item.tiles = { done: 0, total: 0 };
      item.results.set(100, await restore(item.file, { model: item.model }, tell, item.stop.signal));
      item.state = "done";
    } catch (error) {
      if (item.stop.signal.aborted) return;
      if (error instanceof Busy || error instanceof Gone) {
        item.state = "waiting";
        this.#wait(error);
      } else {
        item.state = "failed";
        item.problem = error instanceof Problem ? error : new Problem({ detail: String(error) });
      }
    } finally {
      this.#active.delete(item);
      this.#tell("change", item);
      this.#next();
    }
  }

  /** Send nothing for the time that a busy server asks for, or until a silent one answers. */
  async #wait(error) {
    if (this.hold) return;
    const busy = error instanceof Busy;
    for (let seconds = busy ? Math.ceil(error.seconds) : ASK_AGAIN; seconds > 0;) {
      this.hold = { reason: busy ? "busy" : "gone", seconds };
      this.#tell("hold");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      seconds -= 1;
      if (!busy && seconds === 0 && !(await alive())) seconds = ASK_AGAIN;
    }
    this.hold = null;
    this.#tell("hold");
    this.#next();
  }
}
