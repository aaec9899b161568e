/** Charts of a report, drawn as elements that follow the colour scheme. */

import { make, makeSvg, measure } from "./dom.js";
import { count, percent } from "./words.js";

const SIDE = 100;
const FEW = 3; // classes whose names fit side by side above a confusion matrix
const MANY = 12; // classes whose matrix needs the width of two columns
const SHORT = 3; // characters of a name that fits above a cell

/**
 * A confusion matrix: a real table, whose cells are the stronger the more they hold of their row,
 * in one colour where the model was right and in another where it was not.
 *
 * @param {{labels: string[], counts: number[][]}} matrix
 */
export function confusionTable({ labels, counts }) {
  const name = (scope, label) => make("th", { scope, title: label }, make("span", {}, label));
  const head = make("tr", {}, make("td"), ...labels.map((label) => name("col", label)));
  const rows = counts.map((row, truth) => {
    const total = row.reduce((sum, each) => sum + each, 0);
    const cells = row.map((each, answer) =>
      confusionCell(each, total && each / total, {
        isRight: truth === answer,
        title: `${labels[truth]} taken for ${labels[answer]}`,
      }),
    );
    return make("tr", {}, name("row", labels[truth]), ...cells);
  });
  const looks = {
    "is-turned": labels.length > FEW && labels.some((label) => label.length > SHORT),
    "is-large": labels.length > MANY,
  };
  return make(
    "table",
    { class: `confusion ${namesOf(looks)}` },
    make("thead", {}, head),
    make("tbody", {}, ...rows),
  );
}

function confusionCell(number, share, { isRight, title }) {
  const isStrong = share > 0.5;
  const words = number ? count(number) : make("span", { class: "nothing" }, "0");
  const cell = make("td", { class: namesOf({ right: isRight, strong: isStrong }), title }, words);
  return measure(cell, "part", `${inkOf(share)}%`);
}

/** Per cent of ink: even a single mistake can be seen, and text can be read on every one. */
function inkOf(share) {
  if (share === 0) return 0;
  return share > 0.5 ? 80 + 20 * share : 10 + 30 * Math.sqrt(2 * share);
}

const namesOf = (flags) =>
  Object.keys(flags)
    .filter((name) => flags[name])
    .join(" ");

/** @param {{low: number, high: number, count: number, accuracy: number | null}[]} bins */
export function reliabilityDiagram(bins) {
  const filled = bins.filter((bin) => bin.count > 0);
  const bar = ({ low, high, count: pictures, accuracy }) =>
    makeSvg(
      "rect",
      {
        class: "bin",
        x: SIDE * low + 0.4,
        y: SIDE * (1 - accuracy),
        width: SIDE * (high - low) - 0.8,
        height: SIDE * accuracy,
      },
      makeSvg(
        "title",
        {},
        `Says ${percent(low, 0)} to ${percent(high, 0)}: right in ${percent(accuracy, 0)} of ${count(pictures)}`,
      ),
    );
  const grid = [0, 25, 50, 75, 100].flatMap((at) => [
    makeSvg("line", { class: "grid", x1: 0, x2: SIDE, y1: at, y2: at }),
    makeSvg("text", { x: -3, y: SIDE - at + 1.6, "text-anchor": "end" }, `${at}`),
    makeSvg("text", { x: at, y: SIDE + 7, "text-anchor": "middle" }, `${at}`),
  ]);
  return makeSvg(
    "svg",
    { class: "reliability", viewBox: "-16 -5 122 124", role: "img", "aria-label": inWords(filled) },
    ...grid,
    ...filled.map(bar),
    makeSvg("line", { class: "ideal", x1: 0, y1: SIDE, x2: SIDE, y2: 0 }),
    makeSvg(
      "text",
      { x: SIDE / 2, y: SIDE + 15, "text-anchor": "middle" },
      "how sure it says it is, %",
    ),
    makeSvg(
      "text",
      { x: -SIDE / 2, y: -11, "text-anchor": "middle", transform: "rotate(-90)" },
      "how often it is right, %",
    ),
  );
}

function inWords(bins) {
  const each = bins.map(
    ({ low, high, accuracy, count: pictures }) =>
      `${percent(low, 0)} to ${percent(high, 0)} sure: right in ${percent(accuracy, 0)} of ${count(pictures)}`,
  );
  return `Reliability diagram. ${each.join("; ")}.`;
}
