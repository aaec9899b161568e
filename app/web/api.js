/** Client of the HTTP API. An error response is thrown as an `ApiError`. */

const MAX_RETRY_DELAY_MS = 8_000;
const UNAUTHORIZED = 401;
const TOO_MANY_REQUESTS = 429;
const GATEWAY_ERRORS = [502, 504]; // a reverse proxy does not reach the service
const SERVICE_UNAVAILABLE = 503;
export const MAX_NETWORK_FAILURES = 3;
export const MAX_LOADING_RETRIES = 24;

/** A problem document (RFC 9457). */
class ApiError extends Error {
  constructor({ code, title, detail, status, field }, retryAfterS = null) {
    super(detail || title);
    Object.assign(this, { code, title, detail, status, field, retryAfterS });
  }
}

/** The service cannot be reached. */
export class NetworkError extends Error {}

let requestSignIn = null;

/** Set the function that signs the user in when a request needs it. @param {() => Promise<void>} signIn */
export const onUnauthorized = (signIn) => (requestSignIn = signIn);

/**
 * Send one request.
 *
 * @param {string} path
 * @param {{method?: string, body?: BodyInit, json?: object, headers?: object, signal?: AbortSignal,
 *   isPublic?: boolean}} options `json` is sent instead of a body; `isPublic` requests need no key
 * @returns {Promise<any>} the JSON of the response, or null
 * @throws {ApiError | NetworkError | DOMException} the last one when `signal` aborts
 */
export async function callApi(path, { json, headers = {}, isPublic = false, ...options } = {}) {
  if (json) {
    options.body = JSON.stringify(json);
    headers = { ...headers, "Content-Type": "application/json" };
  }
  const send = () => fetchResponse(path, { ...options, headers });
  return parseResponse(await (isPublic ? send() : sendSignedIn(send)));
}

/** Fetch an image or another file as a `File`; throws the errors of `callApi`. */
export async function fetchFile(path, name) {
  const response = await sendSignedIn(() => fetchResponse(path));
  if (!response.ok) await parseResponse(response);
  const blob = await response.blob();
  return new File([blob], name, { type: blob.type });
}

/**
 * Upload a file and report the progress, which `fetch` cannot.
 *
 * @param {string} path
 * @param {{body: Blob, headers: object, signal: AbortSignal, onProgress: (fraction: number) => void}} options
 * @returns {Promise<any>} the JSON of the response
 */
export async function uploadFile(path, options) {
  return parseResponse(await sendSignedIn(() => sendUpload(path, options)));
}

/** Repeat a request until the service answers, with a result or an error; use it for safe requests. */
export async function callApiUntilAnswered(path, options = {}) {
  for (;;) {
    try {
      return await callApi(path, options);
    } catch (error) {
      if (error.status === TOO_MANY_REQUESTS) await sleep(1_000 * error.retryAfterS, options.signal);
      else if (!isUnavailable(error)) throw error;
    }
    await waitUntilReachable(options.signal);
  }
}

/**
 * Submit a job and retry until the service answers. All attempts share one idempotency key, so that a
 * lost response does not create a second job.
 *
 * @param {(key: string) => Promise<object>} send
 * @param {{signal: AbortSignal, onDisconnect: () => void}} options
 */
export async function submitJob(send, { signal, onDisconnect }) {
  const key = newIdempotencyKey();
  for (let failures = 0, loadingRetries = 0; ;) {
    try {
      return await send(key);
    } catch (error) {
      const isReceiving = error.code === "still_receiving";
      if (isReceiving || (isModelLoading(error) && ++loadingRetries < MAX_LOADING_RETRIES)) {
        await sleep(1_000 * error.retryAfterS, signal);
        continue;
      }
      if (!isResponseLost(error)) throw error;
      if (++failures === MAX_NETWORK_FAILURES) throw connectionClosedError();
    }
    onDisconnect();
    await waitUntilReachable(signal);
  }
}

/** Wait until the service answers its liveness probe. */
export async function waitUntilReachable(signal) {
  for (let delay = 500; ; delay = Math.min(2 * delay, MAX_RETRY_DELAY_MS)) {
    await sleep(delay, signal);
    try {
      return await callApi("/health/live", { signal });
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }
}

let limitsRequest = null;
let limits = {};

/** Fetch the limits of the service once. @returns {Promise<Object<string, number>>} by API name */
export async function fetchLimits() {
  limitsRequest ??= callApiUntilAnswered("/limits");
  return (limits = await limitsRequest);
}

/** Return one limit; infinity until the limits are fetched. */
export const getLimit = (name) => limits[name] ?? Infinity;

/** Return the path of a job, or of an action on it. */
export const jobPath = (id, action) =>
  ["/jobs", encodeURIComponent(id), action].filter(Boolean).join("/");

/** Wait; the browser's "online" event ends the wait early. */
export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const finishWith = (settle) => () => {
      clearTimeout(timer);
      removeEventListener("online", onOnline);
      signal?.removeEventListener("abort", onAbort);
      settle(signal?.reason);
    };
    const onOnline = finishWith(resolve);
    const onAbort = finishWith(reject);
    const timer = setTimeout(onOnline, milliseconds);
    addEventListener("online", onOnline);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
  });
}

/** Tell whether the model of a rejected request is still being loaded. */
export const isModelLoading = (error) =>
  error.code === "model_unavailable" && error.retryAfterS > 0;

export const connectionClosedError = () =>
  new ApiError({
    code: "connection_closed",
    title: "The connection was closed",
    detail:
      "The connection closes each time this file is sent. The file may be too large, or it changed " +
      "after you chose it. Choose it again, or choose a smaller file.",
  });

async function fetchResponse(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new NetworkError(path);
  }
}

/** Send a request, and repeat it after a sign-in where one is needed. */
async function sendSignedIn(send) {
  for (;;) {
    const response = await send();
    if (response.status !== UNAUTHORIZED) return response;
    await requestSignIn();
  }
}

function sendUpload(path, { body, headers, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total));
    request.addEventListener("load", () => resolve(toResponse(request)));
    request.addEventListener("error", () => reject(new NetworkError(path)));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function toResponse(request) {
  const headers = {};
  const retryAfter = request.getResponseHeader("Retry-After");
  if (retryAfter) headers["Retry-After"] = retryAfter;
  return new Response(request.responseText, { status: request.status, headers });
}

/** Return the JSON of a response; throw the error that it describes. */
async function parseResponse(response) {
  if (response.status === 204) return null;
  const document = await response.json().catch(() => null);
  if (response.ok && !document) throw new NetworkError(response.url); // a truncated response
  if (response.ok) return document;
  const retryAfter = Number(response.headers.get("Retry-After"));
  const problem = document?.code ? document : unexpectedResponse(response.status);
  throw new ApiError(problem, retryAfter || null);
}

/** Return a random key; `crypto.randomUUID` exists on https and localhost only. */
function newIdempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Tell whether the service may have received a request whose response is lost. */
const isResponseLost = (error) =>
  error instanceof NetworkError || GATEWAY_ERRORS.includes(error.status);

const isUnavailable = (error) => isResponseLost(error) || error.status === SERVICE_UNAVAILABLE;

const unexpectedResponse = (status) => ({
  code: "unknown",
  status,
  title: "Unexpected response",
  detail: `Something between this page and the service answered with status ${status}.`,
});
