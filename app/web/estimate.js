/** Says how long a painting will take, before it is begun. */

import { call, pause } from "./api.js";
import { byId, fill } from "./dom.js";
import { inWords } from "./problems.js";
import { duration } from "./words.js";

const USUAL = { width: 4, height: 3 };
const REST_MS = 150;
const MEASURING_MS = 2_000;
const LONGEST_MS = 30_000;

/** @returns {() => void} asks anew, once a change has settled */
export function estimator(form, photo, styles) {
  const place = byId("estimate");
  let asking = new AbortController();
  return async () => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const { size, quality, style_scale } = form.elements;
    const json = {
      ...(photo.size ?? USUAL),
      size: Number(size.value),
      quality: quality.value,
      style_scale: Number(style_scale.value),
      styles: Math.max(1, styles.count),
    };
    try {
      await pause(REST_MS, signal);
      for (let wait = MEASURING_MS; ; wait = Math.min(2 * wait, LONGEST_MS)) {
        const found = await call("/stylize/estimate", { method: "POST", json, signal });
        fill(place, await estimateInWords(found));
        if (found.seconds) return;
        await pause(wait, signal);
      }
    } catch (error) {
      if (!signal.aborted) fill(place, error.status < 500 ? inWords(error) : "");
    }
  };
}

async function estimateInWords({ seconds, width, height }) {
  const size = `${width} × ${height} px`;
  if (seconds) return `About ${duration(seconds)} for ${size}`;
  const { workers } = await call("/health/ready").catch(() => ({})); // not ready: workers may come
  const isNobody = workers?.length === 0;
  return `${size}; ${isNobody ? "nobody paints on this host now" : "how long is being measured"}`;
}
