/** The room where a model is put to the test. */

import { call, insist, submit } from "./api.js";
import { takeDrops, takeStrays } from "./arrivals.js";
import { byId, fill, make, named } from "./dom.js";
import { EVALUATION, examination } from "./examination.js";
import { about, archiveProblem, checked } from "./file-check.js";
import { rememberForm } from "./memory.js";
import { ModelChooser } from "./models.js";
import { problemBox } from "./problems.js";
import { addressOf } from "./rooms.js";
import { ARCHIVE, sampleFile } from "./samples.js";
import { UnderWay, openMade } from "./under-way.js";
import { upload } from "./upload.js";
import { ago, bytes, plural } from "./words.js";

const LISTED = "/jobs?kind=evaluate&limit=12";

/**
 * @returns {{offer: (models: object[]) => void, open: (job: string | null) => void,
 *   close: () => void}}
 */
export function evaluateRoom() {
  const chooser = new ModelChooser({ legend: "Who is put to the test", memory: "evaluate.model" });
  const material = new Material((label) => chooser.prefer(label));
  const shown = examination();
  const underWay = new UnderWay(EVALUATION);
  const form = byId("evaluation");
  const start = new Start(form, chooser, material);
  byId("evaluate-models").append(chooser.element);
  rememberForm(form, "evaluation");
  form.addEventListener("submit", (event) => (event.preventDefault(), start.press()));
  takeStrays(byId("room-evaluate"), (files) => byId("examine").hidden || material.take(files));
  return {
    offer: (models) => chooser.offer(models),
    open(job) {
      byId("examine").hidden = job !== null;
      if (job) {
        underWay.hide();
        shown.open(job);
      } else {
        shown.close();
        underWay.show();
        listEarlier();
      }
    },
    close() {
      shown.close();
      underWay.hide();
    },
  };
}

/** What to evaluate on: an archive, or a data set of the host. */
class Material {
  file = null;
  problem = problemBox();
  #words = byId("archive-words");
  #onSample;

  /** @param {(label: string) => void} onSample told a class of the sample that is taken */
  constructor(onSample) {
    this.#onSample = onSample;
    const input = byId("archive");
    byId("archive-zone").after(this.problem.element);
    input.addEventListener("change", () => {
      this.take([...input.files]);
      input.value = "";
    });
    takeDrops(byId("archive-zone"), (files) => this.take(files));
    byId("archive-sample").addEventListener("click", () => this.#takeSample());
    byId("dataset").addEventListener("change", ({ target }) => target.value && this.#use(null));
    this.#offerDatasets();
  }

  get dataset() {
    return this.file ? "" : byId("dataset").value;
  }

  async #takeSample() {
    try {
      await this.take([await sampleFile(ARCHIVE.name)]);
      this.#onSample(ARCHIVE.label);
    } catch (error) {
      this.problem.show(error, () => this.#takeSample());
    }
  }

  async take(files) {
    const { good, words } = await checked(files, archiveProblem);
    const [file, ...others] = good;
    this.problem.clear();
    if (file) {
      byId("dataset").value = "";
      this.#use(file);
    }
    if (words) this.problem.say(...words);
    else if (others.length) this.problem.say(...about(file, "is used; one archive is taken here."));
  }

  #use(file) {
    this.file = file;
    const [strong, span] = this.#words.children;
    fill(strong, file ? named(file.name) : "A zip archive");
    fill(
      span,
      file ? `${bytes(file.size)}; drop or choose another` : "Drop it here, or choose a file",
    );
  }

  async #offerDatasets() {
    const { datasets } = await insist("/datasets");
    byId("dataset-field").hidden = datasets.length === 0;
    byId("dataset").append(...datasets.map(({ name }) => make("option", { value: name }, name)));
  }
}

class Start {
  #button = byId("examine-start");
  #bar = byId("upload-progress");
  #problem = problemBox();
  #sending = null;

  constructor(form, chooser, material) {
    Object.assign(this, { form, chooser, material });
    byId("examine-row").after(this.#problem.element);
    byId("upload-stop").addEventListener("click", () => this.#sending.abort());
  }

  async press() {
    if (this.#sending) return;
    this.#problem.clear();
    if (!this.material.file && !this.material.dataset) {
      this.material.problem.ask("Choose an archive first.");
      return;
    }
    this.#sending = new AbortController();
    this.#show(true);
    try {
      openMade("evaluate", (await this.#send(this.#sending.signal)).id);
    } catch (error) {
      this.#problem.show(error, () => this.press());
    } finally {
      this.#sending = null;
      const hadFocus = byId("upload").contains(document.activeElement);
      this.#show(false);
      if (hadFocus) this.#button.focus();
    }
  }

  #send(signal) {
    const { file, dataset } = this.material;
    const query = new URLSearchParams({
      engine: this.form.elements.engine.value,
      model: this.chooser.chosen,
    });
    if (!file) query.set("dataset", dataset);
    const send = (key) => {
      const headers = { "Idempotency-Key": key };
      if (!file) return call(`/evaluate?${query}`, { method: "POST", headers, signal });
      headers["Content-Type"] = "application/zip";
      return upload(`/evaluate?${query}`, {
        body: file,
        headers,
        signal,
        onSent: (share) => (this.#bar.value = share),
      });
    };
    return submit(send, {
      signal,
      onLost: () => this.#problem.say("The connection is lost. Trying again…"),
    });
  }

  #show(isSending) {
    byId("upload").hidden = !isSending || !this.material.file;
    this.#bar.value = 0;
    this.#button.disabled = isSending;
  }
}

async function listEarlier() {
  const { jobs } = await insist(LISTED);
  const item = (job) => {
    const { model, dataset, images } = job.options;
    const on = dataset ?? "an archive";
    const state = job.status === "succeeded" ? "" : `, ${job.status}`;
    const words = `${model} on ${on}, ${plural(images, "picture")}${state}`;
    return make(
      "li",
      {},
      make("a", { href: addressOf("evaluate", job.id) }, words),
      make("span", { class: "quiet" }, ` ${ago(job.created_at)}`),
    );
  };
  byId("earlier").hidden = jobs.length === 0;
  fill(byId("earlier-list"), ...jobs.map(item));
}
