/** Says how long a painting will take, before it is begun. */

import { call, pause } from "./api.js";
import { byId, fill } from "./dom.js";
import { inWords } from "./problems.js";
import { duration } from "./words.js";

const USUAL = { width: 4, height: 3 };
const REST_MS = 150;
const MEASURING_MS = 2_000;

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
      for (let found; !found?.seconds; await pause(MEASURING_MS, signal)) {
        found = await call("/stylize/estimate", { method: "POST", json, signal });
        fill(place, estimateInWords(found));
        if (found.seconds) return;
      }
    } catch (error) {
      if (!signal.aborted) fill(place, error.status < 500 ? inWords(error) : "");
    }
  };
}

function estimateInWords({ seconds, width, height }) {
  const size = `${width} × ${height} px`;
  return seconds ? `About ${duration(seconds)} for ${size}` : `${size}; how long is being measured`;
}
