/** Charts, built from elements that follow the color scheme. */

import { create, createSvg, setCssProperty, userText } from "./dom.js";
import { formatNumber, formatPercent, pluralize } from "./format.js";

const SIDE = 100; // of the reliability diagram, in units of its view box
const MAX_HORIZONTAL_LABELS = 3; // classes whose names fit side by side above a confusion matrix
const MAX_SHORT_LABEL = 3; // characters of a name that fits above a cell
const MAX_COLUMN_CLASSES = 12; // larger matrices need the width of two columns

/** Create horizontal bars. @param {{label: string, value: number}[]} items values in 0..1 */
export function createBarChart(items, { digits } = {}) {
  const createRow = ({ label, value }) =>
    create(
      "li",
      {},
      create("span", { class: "bar-label" }, userText(label)),
      setCssProperty(create("span", { class: "bar" }), "value", value),
      create("span", { class: "bar-value" }, formatPercent(value, digits)),
    );
  return create("ol", { class: "bars" }, ...items.map(createRow));
}

/**
 * Create a confusion matrix as a table. Cells are shaded by their fraction of the row, in one color
 * where the prediction is correct and in another where it is wrong.
 *
 * @param {{labels: string[], counts: number[][]}} matrix
 */
export function createConfusionMatrix({ labels, counts }) {
  const createHeader = (scope, label) =>
    create("th", { scope, title: label }, create("span", {}, label));
  const columns = labels.map((label) => createHeader("col", label));
  const rows = counts.map((row, actual) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, predicted) =>
      createCell(count, total && count / total, {
        isCorrect: actual === predicted,
        title: `${labels[actual]} classified as ${labels[predicted]}`,
      }),
    );
    return create("tr", {}, createHeader("row", labels[actual]), ...cells);
  });
  const isLong = labels.some((label) => label.length > MAX_SHORT_LABEL);
  const classes = {
    confusion: true,
    "has-rotated-labels": labels.length > MAX_HORIZONTAL_LABELS && isLong,
    "is-large": labels.length > MAX_COLUMN_CLASSES,
  };
  return create(
    "table",
    { class: classList(classes) },
    create("thead", {}, create("tr", {}, create("td"), ...columns)),
    create("tbody", {}, ...rows),
  );
}

function createCell(count, fraction, { isCorrect, title }) {
  const classes = { correct: isCorrect, "is-strong": fraction > 0.5 };
  const text = count ? formatNumber(count) : create("span", { class: "zero" }, "0");
  const cell = create("td", { class: classList(classes), title }, text);
  return setCssProperty(cell, "shade", `${shadeOf(fraction)}%`);
}

/** Return the percentage of color: a single mistake is visible, and the text stays readable. */
function shadeOf(fraction) {
  if (fraction === 0) return 0;
  return fraction > 0.5 ? 80 + 20 * fraction : 10 + 30 * Math.sqrt(2 * fraction);
}

const classList = (flags) =>
  Object.keys(flags)
    .filter((name) => flags[name])
    .join(" ");

/**
 * Create a reliability diagram.
 *
 * @param {{low: number, high: number, count: number, accuracy: number | null}[]} bins
 */
export function createReliabilityDiagram(bins) {
  const filled = bins.filter((bin) => bin.count > 0);
  const createBar = (bin) =>
    createSvg(
      "rect",
      {
        class: "bin",
        x: SIDE * bin.low + 0.4,
        y: SIDE * (1 - bin.accuracy),
        width: SIDE * (bin.high - bin.low) - 0.8,
        height: SIDE * bin.accuracy,
      },
      createSvg("title", {}, describeBin(bin)),
    );
  const grid = [0, 25, 50, 75, 100].flatMap((at) => [
    createSvg("line", { class: "grid", x1: 0, x2: SIDE, y1: at, y2: at }),
    createSvg("text", { x: -3, y: SIDE - at + 1.6, "text-anchor": "end" }, `${at}`),
    createSvg("text", { x: at, y: SIDE + 7, "text-anchor": "middle" }, `${at}`),
  ]);
  const description = `Reliability diagram. ${filled.map(describeBin).join("; ")}.`;
  return createSvg(
    "svg",
    { class: "reliability", viewBox: "-16 -5 122 124", role: "img", "aria-label": description },
    ...grid,
    ...filled.map(createBar),
    createSvg("line", { class: "diagonal", x1: 0, y1: SIDE, x2: SIDE, y2: 0 }),
    createSvg("text", { x: SIDE / 2, y: SIDE + 15, "text-anchor": "middle" }, "Confidence, %"),
    createSvg(
      "text",
      { x: -SIDE / 2, y: -11, "text-anchor": "middle", transform: "rotate(-90)" },
      "Accuracy, %",
    ),
  );
}

const describeBin = ({ low, high, accuracy, count }) =>
  `Confidence ${formatPercent(low, 0)} to ${formatPercent(high, 0)}: ` +
  `${formatPercent(accuracy, 0)} of ${pluralize(count, "image")} correct`;
