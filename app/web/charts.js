/** Charts of a report, drawn as elements that follow the colour scheme. */

import { make, makeSvg, measure } from "./dom.js";
import { count, percent } from "./words.js";

const SIDE = 100;
const FAINT = 70; // per cent of the ink that dark text can still be read on, times the share

/**
 * A confusion matrix: a real table, whose cells are the darker the more they hold of their row.
 *
 * @param {{labels: string[], counts: number[][]}} matrix
 */
export function confusionTable({ labels, counts }) {
  const head = make(
    "tr",
    {},
    make("td"),
    ...labels.map((label) => make("th", { scope: "col" }, make("span", {}, label))),
  );
  const rows = counts.map((row, truth) => {
    const total = row.reduce((sum, each) => sum + each, 0);
    const cells = row.map((each, answer) =>
      confusionCell(each, total && each / total, `${labels[truth]} taken for ${labels[answer]}`),
    );
    return make("tr", {}, make("th", { scope: "row" }, labels[truth]), ...cells);
  });
  const table = make(
    "table",
    { class: "confusion" },
    make("thead", {}, head),
    make("tbody", {}, ...rows),
  );
  return make(
    "div",
    { class: "scrolling", tabindex: 0, role: "group", "aria-label": "Confusion matrix" },
    table,
  );
}

function confusionCell(number, share, title) {
  const isStrong = share > 0.5;
  const ink = isStrong ? 80 + 20 * share : FAINT * share;
  const words = number ? count(number) : make("span", { class: "nothing" }, "0");
  return measure(make("td", { class: isStrong ? "strong" : "", title }, words), "part", `${ink}%`);
}

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
