/** How much the service takes, as far as that is known. */

import { insist } from "./api.js";

let asked = null;
let known = {};

/** Ask for them, once. @returns {Promise<Object<string, number>>} by their names in the API */
export async function limits() {
  asked ??= insist("/limits");
  return (known = await asked);
}

/** One limit; while it is not known nothing is refused for it. */
export const most = (name) => known[name] ?? Infinity;
