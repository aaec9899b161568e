/** Makes a new job of a finished painting: more steps, or larger. */

import { call, jobPath, submit } from "./api.js";
import { choice, make } from "./dom.js";
import { keptPicture } from "./memory.js";
import { noteMade, stylesOf } from "./own-jobs.js";
import { openMade } from "./rooms.js";
import { title } from "./words.js";

const LARGEST_PX = 2048;
const QUALITIES = ["preview", "standard", "high"];

/**
 * @param {object} job a finished painting
 * @param {object} problem where errors are said
 * @returns {HTMLFormElement}
 */
export function goOn(job, problem) {
  const { size, quality: before } = job.options;
  const sizes = [size, ...[1.5, 2, 3].map((factor) => Math.round(size * factor))].filter(
    (each) => each === size || each <= LARGEST_PX,
  );
  const select = make(
    "select",
    { name: "size" },
    ...sizes.map((each) =>
      make("option", { value: each }, each === size ? `${each} px, as now` : `${each} px`),
    ),
  );
  const better = before === "preview" ? "standard" : "high";
  const radios = QUALITIES.map((each) =>
    choice(
      { type: "radio", name: "more", value: each, checked: each === better },
      "segment",
      title(each),
    ),
  );
  const button = make("button", {}, "Go on from here");
  const start = async () => {
    button.disabled = true;
    try {
      const quality = form.elements.more.value;
      const next = await continued(job, Number(select.value), quality, problem);
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
    make("label", { class: "field" }, make("span", {}, "Longest side"), select),
    make(
      "fieldset",
      { class: "plain" },
      make("legend", {}, "Quality"),
      make("div", { class: "segments" }, ...radios.map(({ label }) => label)),
    ),
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
