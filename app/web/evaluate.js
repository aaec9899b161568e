/** The Evaluate tab: evaluates a model on labeled images. */

import { callApi, callApiUntilAnswered, submitJob, uploadFile } from "./api.js";
import { persistForm } from "./browser-storage.js";
import { byId, create, setChildren, userText } from "./dom.js";
import { acceptDrops, acceptFilesInTab } from "./drop-zone.js";
import { createErrorBox } from "./errors.js";
import { checkFiles, findArchiveProblem, messageAbout } from "./files.js";
import { formatAge, formatBytes, formatStatus, pluralize } from "./format.js";
import { RunningJobLink, openNewJob } from "./job-view.js";
import { ModelChooser } from "./model-chooser.js";
import { EVALUATION, createEvaluationView } from "./report.js";
import { routeTo } from "./router.js";
import { ARCHIVE, fetchSample } from "./samples.js";

const LIST_PATH = "/jobs?kind=evaluate&limit=12";

/**
 * @returns {{setModels: (models: object[]) => void, open: (job: string | null) => void,
 *   close: () => void}}
 */
export function createEvaluateTab() {
  const chooser = new ModelChooser({ legend: "Model to evaluate", storageKey: "evaluate.model" });
  const dataInput = new DataInput((label) => chooser.selectForClass(label));
  const view = createEvaluationView();
  const runningJob = new RunningJobLink(EVALUATION);
  const form = byId("evaluate-form");
  const submission = new Submission(form, chooser, dataInput);
  byId("evaluate-models").append(chooser.element);
  persistForm(form, "evaluation");
  form.addEventListener("submit", (event) => (event.preventDefault(), submission.start()));
  acceptFilesInTab(
    byId("evaluate-tab"),
    (files) => byId("evaluate-setup").hidden || dataInput.addFiles(files),
  );
  return {
    setModels: (models) => chooser.setModels(models),
    open(job) {
      byId("evaluate-setup").hidden = job !== null;
      if (job) {
        runningJob.hide();
        view.open(job);
      } else {
        view.close();
        runningJob.show();
        listEarlierEvaluations();
      }
    },
    close() {
      view.close();
      runningJob.hide();
    },
  };
}

/** The input of labeled images: an archive, or a data set on the host. */
class DataInput {
  file = null;
  errorBox = createErrorBox();
  #text = byId("archive-text");
  #onSample;

  /** @param {(label: string) => void} onSample gets a class of the sample archive */
  constructor(onSample) {
    this.#onSample = onSample;
    const input = byId("archive");
    byId("archive-zone").after(this.errorBox.element);
    input.addEventListener("change", () => {
      this.addFiles([...input.files]);
      input.value = "";
    });
    acceptDrops(byId("archive-zone"), (files) => this.addFiles(files));
    byId("archive-sample").addEventListener("click", () => this.#addSample());
    byId("dataset").addEventListener("change", ({ target }) => target.value && this.#setFile(null));
    this.#loadDatasets();
  }

  get dataset() {
    return this.file ? "" : byId("dataset").value;
  }

  async addFiles(files) {
    const { valid, message } = await checkFiles(files, findArchiveProblem);
    const [file, ...others] = valid;
    this.errorBox.clear();
    if (file) {
      byId("dataset").value = "";
      this.#setFile(file);
    }
    if (message) this.errorBox.showMessage(...message);
    else if (others.length)
      this.errorBox.showMessage(...messageAbout(file, "is used. The other files are ignored."));
  }

  async #addSample() {
    try {
      await this.addFiles([await fetchSample(ARCHIVE.name)]);
      this.#onSample(ARCHIVE.label);
    } catch (error) {
      this.errorBox.showError(error, () => this.#addSample());
    }
  }

  #setFile(file) {
    this.file = file;
    const [title, hint] = this.#text.children;
    setChildren(title, file ? userText(file.name) : "Choose a zip archive");
    setChildren(
      hint,
      file ? `${formatBytes(file.size)} · choose or drop another` : "or drop it here",
    );
  }

  async #loadDatasets() {
    const { datasets } = await callApiUntilAnswered("/datasets");
    byId("dataset-field").hidden = datasets.length === 0;
    byId("dataset").append(...datasets.map(({ name }) => create("option", { value: name }, name)));
  }
}

/** The submission of an evaluation, with the progress of its upload. */
class Submission {
  #button = byId("evaluate-button");
  #bar = byId("upload-progress");
  #errorBox = createErrorBox();
  #request = null;

  constructor(form, chooser, dataInput) {
    Object.assign(this, { form, chooser, dataInput });
    byId("evaluate-button-row").after(this.#errorBox.element);
    byId("upload-cancel").addEventListener("click", () => this.#request.abort());
  }

  async start() {
    if (this.#request) return;
    this.#errorBox.clear();
    if (!this.dataInput.file && !this.dataInput.dataset) {
      this.dataInput.errorBox.showInView("Choose an archive first.");
      return;
    }
    this.#request = new AbortController();
    this.#showUpload(true);
    try {
      openNewJob("evaluate", (await this.#submit(this.#request.signal)).id);
    } catch (error) {
      this.#errorBox.showError(error, () => this.start());
    } finally {
      this.#request = null;
      const hadFocus = byId("upload").contains(document.activeElement);
      this.#showUpload(false);
      if (hadFocus) this.#button.focus();
    }
  }

  #submit(signal) {
    const { file, dataset } = this.dataInput;
    const query = new URLSearchParams({
      engine: this.form.elements.engine.value,
      model: this.chooser.selected,
    });
    if (!file) query.set("dataset", dataset);
    const send = (key) => {
      const headers = { "Idempotency-Key": key };
      if (!file) return callApi(`/evaluate?${query}`, { method: "POST", headers, signal });
      headers["Content-Type"] = "application/zip";
      return uploadFile(`/evaluate?${query}`, {
        body: file,
        headers,
        signal,
        onProgress: (fraction) => (this.#bar.value = fraction),
      });
    };
    return submitJob(send, {
      signal,
      onDisconnect: () => this.#errorBox.showMessage("Connection lost. Trying again…"),
    });
  }

  #showUpload(isSending) {
    byId("upload").hidden = !isSending || !this.dataInput.file;
    this.#bar.value = 0;
    this.#button.disabled = isSending;
  }
}

async function listEarlierEvaluations() {
  const { jobs } = await callApiUntilAnswered(LIST_PATH);
  const createItem = (job) => {
    const { model, dataset, images } = job.options;
    const data = dataset ?? "an archive";
    const status = job.status === "succeeded" ? "" : `, ${formatStatus(job.status)}`;
    const text = `${model} on ${data}, ${pluralize(images, "image")}${status}`;
    return create(
      "li",
      {},
      create("a", { href: routeTo("evaluate", job.id) }, text),
      create("span", { class: "muted" }, ` ${formatAge(job.created_at)}`),
    );
  };
  byId("earlier-evaluations").hidden = jobs.length === 0;
  setChildren(byId("earlier-evaluations-list"), ...jobs.map(createItem));
}
