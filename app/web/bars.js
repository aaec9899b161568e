/** Shares as bars, with their numbers. */

import { make, measure, named } from "./dom.js";
import { percent } from "./words.js";

/** @param {{label: string, share: number}[]} shares @param {{digits?: number}} options */
export function bars(shares, { digits } = {}) {
  const row = ({ label, share }) =>
    make(
      "li",
      {},
      make("span", {}, named(label)),
      measure(make("span", { class: "bar" }), "share", share),
      make("span", { class: "bar-share" }, percent(share, digits)),
    );
  return make("ol", { class: "bars" }, ...shares.map(row));
}
