/** Updates of a job through server-sent events, with reconnection. */

import { callApiUntilAnswered, jobPath, sleep } from "./api.js";

const RECONNECT_DELAY_MS = 1_000;
const FINAL_STATUSES = ["succeeded", "failed", "cancelled"];

export const isFinished = (job) => FINAL_STATUSES.includes(job.status);

/**
 * Follow a job until it is finished.
 *
 * @param {string} id
 * @param {{onJob: (job: object) => void, onPreview?: (url: string) => void,
 *   onDisconnect: () => void, onNotFound: (error: Error) => void}} callbacks `onJob` follows
 *   `onDisconnect` once the service is reachable again
 * @returns {() => void} stops following
 */
export function followJob(id, callbacks) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stop = () => stopping.abort();
  const handleJob = (job) => {
    if (isFinished(job)) stop();
    callbacks.onJob(job);
  };
  let source = null;
  addEventListener("offline", reconnect, { signal }); // a service on this host stays reachable
  addEventListener("online", reconnect, { signal }); // the old connection may be dead but open
  document.addEventListener("visibilitychange", reconnect, { signal });
  signal.addEventListener("abort", () => source?.close());
  reconnect();
  return stop;

  function connect() {
    const opened = new EventSource(jobPath(id, "events"));
    opened.addEventListener("progress", (event) => handleJob(JSON.parse(event.data)));
    opened.addEventListener("end", (event) => handleJob(JSON.parse(event.data)));
    opened.addEventListener("preview", (event) =>
      callbacks.onPreview?.(JSON.parse(event.data).url),
    );
    opened.addEventListener("error", () => {
      if (signal.aborted) return;
      callbacks.onDisconnect();
      if (opened.readyState === EventSource.CLOSED) fetchInstead(); // else the browser reconnects
    });
    return opened;
  }

  /** Connect unless the page is hidden: all tabs of a browser share six connections to a host. */
  function reconnect() {
    source?.close();
    source = document.hidden ? null : connect();
  }

  /** Fetch the job after the service refused the event stream, then reconnect. */
  async function fetchInstead() {
    try {
      const job = await callApiUntilAnswered(jobPath(id), { signal });
      handleJob(job);
      if (isFinished(job)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status < 500) {
        stop();
        callbacks.onNotFound(error);
        return;
      }
    }
    await sleep(RECONNECT_DELAY_MS, signal).then(reconnect, () => {});
  }
}
