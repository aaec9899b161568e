/** Talks to the service. An answer that is an error is thrown as a `Problem`. */

const LONGEST_PAUSE_MS = 8_000;
const NO_GATEWAY = [502, 504]; // a proxy in front of the service does not reach it
const BUSY = 503;
export const SAME_FAILURES = 3;
export const STARTING_TRIES = 24;

/** What the service answers instead of a result (RFC 9457). */
class Problem extends Error {
  constructor({ code, title, detail, status, field }, retryAfterS = null) {
    super(detail || title);
    Object.assign(this, { code, title, detail, status, field, retryAfterS });
  }
}

/** The service cannot be reached. */
export class Unreachable extends Error {}

const LOCKED = 401;
const TOO_MUCH = 429;
let askForKey = null;

/** Have a key asked for whenever the service wants one. @param {() => Promise<void>} ask */
export const lockedOut = (ask) => (askForKey = ask);

/** Send something, and again once there is a key where one is needed. */
export async function withKey(send) {
  for (;;) {
    const response = await send();
    if (response.status !== LOCKED) return response;
    await askForKey();
  }
}

/**
 * Ask once.
 *
 * @param {string} path
 * @param {{method?: string, body?: BodyInit, json?: object, headers?: object, signal?: AbortSignal,
 *   open?: boolean}} asked `json` is sent as JSON instead of a body; what is `open` needs no key
 * @returns {Promise<any>} the JSON of the answer, or null
 * @throws {Problem | Unreachable | DOMException} the last one when `signal` aborts
 */
export async function call(path, { json, headers = {}, open = false, ...asked } = {}) {
  if (json) {
    asked.body = JSON.stringify(json);
    headers = { ...headers, "Content-Type": "application/json" };
  }
  const send = () => reached(path, { ...asked, headers });
  return read(await (open ? send() : withKey(send)));
}

/** Fetch a picture or another file as a `File`; throws as `call` does. */
export async function callFile(path, name) {
  const response = await withKey(() => reached(path));
  if (!response.ok) await read(response);
  const blob = await response.blob();
  return new File([blob], name, { type: blob.type });
}

async function reached(path, asked) {
  try {
    return await fetch(path, asked);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable(path);
  }
}

/** Whether what was refused may be taken as soon as the service has loaded its models. */
export const isStarting = (error) => error.code === "model_unavailable" && error.retryAfterS > 0;

/**
 * Send what makes a job until an answer comes. The service knows by the key what it has had, so
 * that a lost answer does not make two jobs.
 *
 * @param {(key: string) => Promise<object>} send
 * @param {{signal: AbortSignal, onLost: () => void}} options
 */
export async function submit(send, { signal, onLost }) {
  const key = freshKey();
  for (let failures = 0, tries = 0; ;) {
    try {
      return await send(key);
    } catch (error) {
      if (error.code === "still_receiving" || (isStarting(error) && ++tries < STARTING_TRIES)) {
        await pause(1_000 * error.retryAfterS, signal);
        continue;
      }
      if (!isLost(error)) throw error;
      if (++failures === SAME_FAILURES) throw closedByService();
    }
    onLost();
    await untilReachable(signal);
  }
}

/** Wait for the service to answer again. */
export async function untilReachable(signal) {
  for (let wait = 500; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
    await pause(wait, signal);
    try {
      return await call("/health/live", { signal });
    } catch (error) {
      if (!isAway(error)) throw error;
    }
  }
}

/** Ask until the service can answer, and be it with a problem; what is asked may be done twice. */
export async function insist(path, asked = {}) {
  for (;;) {
    try {
      return await call(path, asked);
    } catch (error) {
      if (error.status === TOO_MUCH) await pause(1_000 * error.retryAfterS, asked.signal);
      else if (!isAway(error)) throw error;
    }
    await untilReachable(asked.signal);
  }
}

/** The address of a job, or of what can be done with it. */
export const jobPath = (id, action) =>
  ["/jobs", encodeURIComponent(id), action].filter(Boolean).join("/");

/** Wait; the browser's "online" ends it early. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const done = (settle) => () => {
      clearTimeout(timer);
      removeEventListener("online", early);
      signal?.removeEventListener("abort", stop);
      settle(signal?.reason);
    };
    const early = done(resolve);
    const stop = done(reject);
    const timer = setTimeout(early, milliseconds);
    addEventListener("online", early);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
  });
}

/** Turn an answer into its JSON, or throw its problem. */
export async function read(response) {
  if (response.status === 204) return null;
  const document = await response.json().catch(() => null);
  if (response.ok && !document) throw new Unreachable(response.url); // cut off within the answer
  if (response.ok) return document;
  const retryAfter = Number(response.headers.get("Retry-After"));
  throw new Problem(document?.code ? document : unknown(response.status), retryAfter || null);
}

/** A random key; `crypto.randomUUID` exists on https and localhost only. */
function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the service may or may not have had the request. */
const isLost = (error) => error instanceof Unreachable || NO_GATEWAY.includes(error.status);

const isAway = (error) => isLost(error) || error.status === BUSY;

const unknown = (status) => ({
  code: "unknown",
  status,
  title: "Not an answer of the service",
  detail: `something between this page and the service answered with status ${status}`,
});

export const closedByService = () =>
  new Problem({
    code: "connection_closed",
    title: "The connection was closed",
    detail: "the connection closes whenever this is sent; the file may be too large, or changed",
  });
