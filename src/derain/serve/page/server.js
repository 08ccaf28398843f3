// Talks to the server: what it offers, and one job from the image to the result.

/** What the server says is wrong (RFC 9457), or what this page found out by itself. */
export class Problem extends Error {
  /** @param {object} fields  Those of RFC 9457; `final` where trying again is of no use. */
  constructor({ title = "It failed", detail = "", status = 0, final = false } = {}) {
    super(detail);
    this.title = title;
    this.final = final || [413, 415, 422].includes(status);
  }
}

/** The server has no room now. */
export class Busy extends Problem {
  constructor(problem, seconds) {
    super(problem);
    this.seconds = seconds;
  }
}

/** The server does not answer. */
export class Gone extends Problem {
  constructor() { super({ title: "The server does not answer" }); }
}

async function call(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (options.body && await alive()) {
      throw new Problem({
        title: "Could not be sent",
        detail: "The file has changed or cannot be read any more, or the server refused it unread.",
      });
    }
    throw new Gone();
  }
  if (answer.ok) return answer;
  const problem = { title: answer.statusText, status: answer.status };
  Object.assign(problem, await answer.json().catch(() => ({})));
  if (answer.status === 429 || answer.status === 503) {
    throw new Busy(problem, Math.max(1, Number(answer.headers.get("Retry-After")) || 5));
  }
  throw new Problem(problem);
}

/** Whether the server answers. */
export async function alive() {
  try {
    return (await fetch("/healthz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

/** Models, limits and formats of this server. */
export async function offers() {
  return (await call("/v1/models")).json();
}

/** A file of the server as a File. */
export async function download(address, name) {
  const blob = await (await call(address)).blob();
  return new File([blob], name, { type: blob.type });
}

/**
 * Remove the rain from one file.
 *
 * @param {File} file
 * @param {object} options  model, strength, format: the query of POST /v1/jobs.
 * @param {(state: string, data: object) => void} tell  Called for queued, running, tile, frame.
 * @param {AbortSignal} signal  Ends the job here and on the server.
 * @returns {Promise<{blob: Blob, facts: object}>}  The result, and what the server says of it.
 */
export async function restore(file, options, tell, signal) {
  const type = file.type || "application/octet-stream";
  const body = { method: "POST", body: file, headers: { "Content-Type": type }, signal };
  const job = await (await call(`/v1/jobs?${new URLSearchParams(options)}`, body)).json();
  open.add(job.id);
  try {
    tell("queued", job);
    const facts = await follow(job.events, tell, signal);
    return { blob: await (await call(job.result, { signal })).blob(), facts };
  } finally {
    forget(job.id); // it waits, runs or lies ready in the server's memory
  }
}

function follow(address, tell, signal) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(address);
    const on = (name, act) => events.addEventListener(name, (event) => act(JSON.parse(event.data)));
    const end = (settle) => (value) => {
      events.close();
      settle(value);
    };
    for (const name of ["queued", "running", "tile", "frame"]) on(name, (data) => tell(name, data));
    on("done", end(resolve));
    on("failed", end((data) => reject(data.status === 503 ? new Gone() : new Problem(data))));
    const lost = end(() => reject(new Gone()));
    events.onerror = async () => { // the browser connects again, and is told what it missed
      if (events.readyState === EventSource.CLOSED || !(await alive())) lost();
    };
    signal.addEventListener("abort", end(() => reject(signal.reason)));
  });
}

const open = new Set(); // jobs that the server still holds for this page

function forget(id) {
  open.delete(id);
  fetch(`/v1/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
}

addEventListener("pagehide", () => open.forEach(forget));
