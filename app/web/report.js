/** The report of an evaluation, as elements. */

import { confusionTable, reliabilityDiagram } from "./charts.js";
import { make, named } from "./dom.js";
import { count, percent, plural } from "./words.js";

/** @param {object} report what the job's result says @returns {HTMLElement[]} */
export function reportOn(report) {
  return [
    headline(report),
    part(
      "What it took for what",
      scrolling("Confusion matrix", confusionTable(report.confusion_matrix)),
      make("p", { class: "quiet" }, "A row for each class, a column for each answer."),
    ),
    part(
      "How far it can be trusted",
      reliabilityDiagram(report.calibration.bins),
      make(
        "p",
        { class: "quiet" },
        "Bars on the line: it is right as often as it says. Below the line, it promises too much. " +
          `On average it is off by ${percent(report.calibration.ece, 1)} (expected calibration error).`,
      ),
    ),
    part("Class by class", classTable(report.classes)),
    report.worst_mistakes.length
      ? part("The worst mistakes", mistakes(report.worst_mistakes))
      : null,
    report.skipped_count || Object.keys(report.unknown_folders).length
      ? part("Left out", leftOut(report))
      : null,
  ].filter(Boolean);
}

const part = (title, ...children) =>
  make("section", { class: "report-part" }, make("h3", {}, title), ...children);

function headline({
  accuracy,
  accuracy_interval: [low, high],
  n,
  labelled,
  loss,
  model,
  engine,
  images_per_s,
}) {
  const cut = labelled > n ? ` of ${count(labelled)}` : "";
  return make(
    "div",
    { class: "headline" },
    make("p", { class: "verdict" }, make("strong", {}, percent(accuracy, 1)), " are right"),
    make("p", {}, `Between ${percent(low, 1)} and ${percent(high, 1)}, with 95 % certainty.`),
    make(
      "p",
      { class: "quiet" },
      `${model.name} ${model.version} on ${plural(n, "picture")}${cut} · loss ${loss.toFixed(3)} · ` +
        `${engine.name}, ${engine.device}, ${engine.dtype} · ${count(Math.round(images_per_s))} pictures/s`,
    ),
  );
}

function classTable(classes) {
  const cells = ({ precision, recall, f1, support }) =>
    [precision, recall, f1]
      .map((share) => (share === null ? "–" : percent(share, 1)))
      .concat(count(support));
  const row = (each) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, each.label),
      ...cells(each).map((text) => make("td", {}, text)),
    );
  const head = ["Class", "Precision", "Recall", "F1", "Pictures"].map((text) =>
    make("th", { scope: "col" }, text),
  );
  return scrolling(
    "Class by class",
    make(
      "table",
      { class: "class-table" },
      make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...classes.map(row)),
    ),
  );
}

function mistakes(list) {
  const item = ({ filename, label, label_probability, predicted, predicted_probability, links }) =>
    make(
      "li",
      {},
      make("img", { src: links.thumbnail, alt: `${label}, taken for ${predicted}` }),
      make("span", {}, `${predicted}, ${percent(predicted_probability)}`),
      make("span", { class: "quiet" }, `but ${label}, ${percent(label_probability)}`),
      make("span", { class: "quiet file-name" }, named(filename)),
    );
  return make("ul", { class: "mistakes" }, ...list.map(item));
}

function leftOut({
  skipped,
  skipped_count: all,
  unknown_folders: folders,
  unknown_folder_count: allFolders,
}) {
  const moreFolders = allFolders - Object.keys(folders).length;
  const items = [
    ...Object.entries(folders).map(([name, files]) => [
      named(`${name}/`),
      `: ${plural(files, "file")}, as it is not the name of a class`,
    ]),
    ...(moreFolders ? [[`${count(moreFolders)} more folders that are not classes`]] : []),
    ...skipped.map(({ filename, reason }) => [named(filename), `: ${reason}`]),
  ];
  const more =
    all > skipped.length
      ? make("p", { class: "quiet" }, `and ${count(all - skipped.length)} more`)
      : null;
  return make(
    "div",
    {},
    make("ul", { class: "left-out" }, ...items.map((words) => make("li", {}, ...words))),
    more,
  );
}

/** A table that may be wider than a phone: it scrolls by itself, also with the keyboard. */
function scrolling(label, table) {
  return make(
    "div",
    { class: "scrolling", tabindex: 0, role: "group", "aria-label": label },
    table,
  );
}
