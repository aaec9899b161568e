/** Makes a new job of a finished painting: more steps, or larger. */

import { call, jobPath, submit } from "./api.js";
import { make } from "./dom.js";
import { field, segments, select } from "./fields.js";
import { keptPicture } from "./memory.js";
import { noteMade, stylesOf } from "./own-jobs.js";
import { QUALITIES } from "./settings.js";
import { openMade } from "./under-way.js";

const FACTORS = [1.5, 2, 3];

/**
 * @param {object} job a finished painting
 * @param {number} maxSize longest side of a painting, px
 * @param {object} problem where errors are said
 * @returns {HTMLFormElement}
 */
export function goOn(job, maxSize, problem) {
  const { size, quality: before } = job.options;
  const larger = FACTORS.map((factor) => Math.round(size * factor)).filter((px) => px <= maxSize);
  const sizes = [[size, `${size} px, as now`], ...larger.map((px) => [px, `${px} px`])];
  const better = before === "preview" ? "standard" : "high";
  const button = make("button", {}, "Go on from here");
  const start = async () => {
    button.disabled = true;
    try {
      const { size: wanted, more } = form.elements;
      const next = await continued(job, Number(wanted.value), more.value, problem);
      openMade("stylize", next.id);
    } catch (error) {
      problem.show(error, start);
    } finally {
      button.disabled = false;
    }
  };
  const form = make(
    "form",
    { class: "go-on", onsubmit: (event) => (event.preventDefault(), start()) },
    field("Longest side", select("size", sizes)),
    segments({ legend: "Quality", name: "more", options: QUALITIES, chosen: better }),
    button,
  );
  return form;
}

async function continued(begun, size, quality, problem) {
  problem.clear();
  const send = (key) =>
    call(jobPath(begun.id, "continue"), {
      method: "POST",
      json: { size, quality },
      headers: { "Idempotency-Key": key },
    });
  const job = await submit(send, {
    onLost: () => problem.say("The connection is lost. Trying again…"),
  });
  await noteMade(job.id, stylesOf(begun), await keptPicture(begun.id));
  return job;
}
