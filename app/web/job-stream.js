/** Follows a job through its server-sent events, and through lost connections. */

import { insist, jobPath, pause } from "./api.js";

const PAUSE_MS = 1_000;
const ENDED = ["succeeded", "failed", "cancelled"];

export const isOver = (job) => ENDED.includes(job.status);

/**
 * Follow a job to its end.
 *
 * @param {string} id
 * @param {{onJob: (job: object) => void, onPreview?: (address: string) => void, onLost: () => void,
 *   onGone: (error: Error) => void}} tell `onLost` while the service is away (`onJob` follows when it
 *   is back), `onGone` when there is no such job
 * @returns {() => void} stops it
 */
export function watchJob(id, tell) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stop = () => stopping.abort();
  const seen = (job) => {
    if (isOver(job)) stop();
    tell.onJob(job);
  };
  let source = null;
  addEventListener("offline", reconnect, { signal }); // a service on this machine is still there
  addEventListener("online", reconnect, { signal }); // an old connection may be dead and silent
  document.addEventListener("visibilitychange", reconnect, { signal });
  signal.addEventListener("abort", () => source?.close());
  reconnect();
  return stop;

  function connect() {
    const opened = new EventSource(jobPath(id, "events"));
    opened.addEventListener("progress", (event) => seen(JSON.parse(event.data)));
    opened.addEventListener("end", (event) => seen(JSON.parse(event.data)));
    opened.addEventListener("preview", (event) => tell.onPreview?.(JSON.parse(event.data).url));
    opened.addEventListener("error", () => {
      if (signal.aborted) return;
      tell.onLost();
      if (opened.readyState === EventSource.CLOSED) refused(); // else the browser tries again
    });
    return opened;
  }

  /** A browser has six connections for all its tabs: those out of sight do without. */
  function reconnect() {
    source?.close();
    source = document.hidden ? null : connect();
  }

  /** The service answered, but not with events: look what has become of the job. */
  async function refused() {
    try {
      const job = await insist(jobPath(id), { signal });
      seen(job);
      if (isOver(job)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status < 500) {
        stop();
        tell.onGone(error);
        return;
      }
    }
    await pause(PAUSE_MS, signal).then(reconnect, () => {});
  }
}
