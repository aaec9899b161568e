/** Sends a file that may be large, and tells how much of it has gone; `fetch` cannot. */

import { Unreachable, read, withKey } from "./api.js";

/**
 * @param {string} path
 * @param {{body: Blob, headers: object, signal: AbortSignal, onSent: (share: number) => void}} asked
 * @returns {Promise<any>} as `call`
 */
export async function upload(path, { body, headers, signal, onSent }) {
  return read(await withKey(() => answerTo(path, body, headers, signal, onSent)));
}

function answerTo(path, body, headers, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onSent(loaded / total));
    request.addEventListener("load", () => resolve(responseOf(request)));
    request.addEventListener("error", () => reject(new Unreachable(path)));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

function responseOf(request) {
  const headers = {};
  const retryAfter = request.getResponseHeader("Retry-After");
  if (retryAfter) headers["Retry-After"] = retryAfter;
  return new Response(request.responseText, { status: request.status, headers });
}
