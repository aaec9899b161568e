/** The settings of a painting. */

import { byId, make } from "./dom.js";
import { field, range, segments, select } from "./fields.js";

const LARGEST_SEED = 2 ** 32 - 1;

export const QUALITIES = { preview: "Preview", standard: "Standard", high: "High" };

/** Put the fields into their form. @param {number} maxSize longest side of a painting, px */
export function fillSettings(maxSize) {
  byId("settings-first").append(
    range({
      label: "Longest side",
      name: "size",
      min: 64,
      max: maxSize,
      step: 64,
      value: 512,
      words: (size) => `${size} px`,
    }),
    range({
      label: "Strength of the style",
      name: "strength",
      min: 0,
      max: 1,
      step: 0.05,
      value: 0.5,
      words: (share) => `${Math.round(100 * share)} %`,
    }),
    segments({ legend: "Quality", name: "quality", options: QUALITIES, chosen: "standard" }),
    segments({
      legend: "Colours",
      name: "color",
      options: { style: "Style", content: "Photo", match: "Matched" },
      chosen: "style",
    }),
  );
  byId("settings-more").append(
    range({
      label: "Size of brush strokes",
      name: "style_scale",
      min: 0.25,
      max: 2,
      step: 0.25,
      value: 1,
      words: (scale) => `× ${scale}`,
    }),
    field("Begins with", select("init", [["content", "the photograph"], ["noise", "noise"]])),
    field("File", select("format", [["png", "PNG"], ["jpeg", "JPEG"], ["webp", "WebP"]])),
    field(
      "Seed",
      make("input", {
        type: "number",
        name: "seed",
        min: 0,
        max: LARGEST_SEED,
        step: 1,
        placeholder: "any",
        inputmode: "numeric",
      }),
    ),
  );
}
