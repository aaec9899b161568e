/** The view of one evaluation: its progress, then its report. */

import { callApiUntilAnswered } from "./api.js";
import { createConfusionMatrix, createReliabilityDiagram } from "./charts.js";
import { byId, create, setChildren, userText } from "./dom.js";
import { formatNumber, formatPercent, pluralize } from "./format.js";
import { JobView } from "./job-view.js";

export const EVALUATION = {
  tab: "evaluate",
  titles: {
    queued: "Evaluation queued",
    running: "Evaluation in progress",
    succeeded: "Evaluation report",
    failed: "Evaluation failed",
    cancelled: "Evaluation canceled",
  },
  unit: "image",
};

/** @returns {JobView} a view that shows evaluations */
export function createEvaluationView() {
  const reportElement = byId("report");
  const view = new JobView("evaluation", {
    ...EVALUATION,
    newJobText: "New evaluation",
    onResult: showReport,
    onClose: () => setChildren(reportElement),
  });

  async function showReport(job) {
    try {
      const report = await callApiUntilAnswered(job.links.result);
      if (view.isShowing(job.id)) setChildren(reportElement, ...createReport(report));
    } catch (error) {
      if (view.isShowing(job.id)) view.errorBox.showError(error, () => showReport(job));
    }
  }
  return view;
}

/** @param {object} report the result of an evaluation @returns {HTMLElement[]} */
function createReport(report) {
  const hasSkippedFiles = report.skipped_count || Object.keys(report.unknown_folders).length;
  return [
    createSummary(report),
    createSection(
      "Confusion matrix",
      createScrollArea("Confusion matrix", createConfusionMatrix(report.confusion_matrix)),
      create("p", { class: "muted" }, "Rows are the actual classes, columns the predicted ones."),
    ),
    createSection(
      "Calibration",
      createReliabilityDiagram(report.calibration.bins),
      create(
        "p",
        { class: "muted" },
        "On the diagonal, the confidence equals the accuracy. Below it, the model is overconfident. " +
          `Expected calibration error: ${formatPercent(report.calibration.ece, 1)}.`,
      ),
    ),
    createSection("Results by class", createClassTable(report.classes)),
    report.worst_mistakes.length
      ? createSection("Worst mistakes", createMistakes(report.worst_mistakes))
      : null,
    hasSkippedFiles ? createSection("Skipped files", createSkippedFiles(report)) : null,
  ].filter(Boolean);
}

const createSection = (title, ...children) =>
  create("section", { class: "report-section" }, create("h3", {}, title), ...children);

function createSummary({
  accuracy,
  accuracy_interval: [low, high],
  n,
  labeled,
  loss,
  model,
  engine,
  images_per_s,
}) {
  const images =
    labeled > n
      ? `${formatNumber(n)} of ${pluralize(labeled, "image")}`
      : pluralize(n, "image");
  return create(
    "div",
    { class: "report-summary" },
    create(
      "p",
      { class: "top-result" },
      create("strong", {}, formatPercent(accuracy, 1)),
      " accuracy",
    ),
    create("p", {}, `95% confidence interval: ${formatPercent(low, 1)} to ${formatPercent(high, 1)}`),
    create(
      "p",
      { class: "muted" },
      `${model.name} ${model.version} on ${images} · loss ${loss.toFixed(3)} · ` +
        `${engine.name}, ${engine.device}, ${engine.dtype} · ` +
        `${formatNumber(Math.round(images_per_s))} images/s`,
    ),
  );
}

function createClassTable(classes) {
  const formatCells = ({ precision, recall, f1, support }) =>
    [precision, recall, f1]
      .map((value) => (value === null ? "–" : formatPercent(value, 1)))
      .concat(formatNumber(support));
  const createRow = (result) =>
    create(
      "tr",
      {},
      create("th", { scope: "row" }, result.label),
      ...formatCells(result).map((text) => create("td", {}, text)),
    );
  const headers = ["Class", "Precision", "Recall", "F1", "Images"].map((text) =>
    create("th", { scope: "col" }, text),
  );
  return createScrollArea(
    "Results by class",
    create(
      "table",
      { class: "class-table" },
      create("thead", {}, create("tr", {}, ...headers)),
      create("tbody", {}, ...classes.map(createRow)),
    ),
  );
}

function createMistakes(mistakes) {
  const createItem = (mistake) => {
    const { filename, label, label_probability, predicted, predicted_probability, links } = mistake;
    return create(
      "li",
      {},
      create("img", { src: links.thumbnail, alt: `${label}, classified as ${predicted}` }),
      create("span", {}, `Predicted: ${predicted}, ${formatPercent(predicted_probability)}`),
      create("span", { class: "muted" }, `Actual: ${label}, ${formatPercent(label_probability)}`),
      create("span", { class: "muted file-name" }, userText(filename)),
    );
  };
  return create("ul", { class: "mistakes" }, ...mistakes.map(createItem));
}

function createSkippedFiles({
  skipped,
  skipped_count: skippedCount,
  unknown_folders: folders,
  unknown_folder_count: folderCount,
}) {
  const otherFolders = folderCount - Object.keys(folders).length;
  const otherFiles = skippedCount - skipped.length;
  const items = [
    ...Object.entries(folders).map(([name, files]) => [
      userText(`${name}/`),
      `: ${pluralize(files, "file")}. The folder is not named after a class.`,
    ]),
    ...(otherFolders > 0
      ? [[`${pluralize(otherFolders, "more folder")} not named after a class`]]
      : []),
    ...skipped.map(({ filename, reason }) => [userText(filename), `: ${reason}`]),
  ];
  return create(
    "div",
    {},
    create("ul", { class: "skipped-files" }, ...items.map((item) => create("li", {}, ...item))),
    otherFiles > 0 ? create("p", { class: "muted" }, `${pluralize(otherFiles, "more file")}`) : null,
  );
}

/** Wrap a table that may be wider than a phone, so that it scrolls by touch and by keyboard. */
function createScrollArea(label, table) {
  return create(
    "div",
    { class: "scroll-area", tabindex: 0, role: "group", "aria-label": label },
    table,
  );
}
