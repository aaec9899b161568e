/** The room where pictures are named. */

import {
  SAME_FAILURES,
  STARTING_TRIES,
  Unreachable,
  call,
  closedByService,
  isStarting,
  pause,
  untilReachable,
} from "./api.js";
import { takeStrays } from "./arrivals.js";
import { bars } from "./bars.js";
import { byId, fill, make, named } from "./dom.js";
import { ModelChooser } from "./models.js";
import { drawingPad } from "./pad.js";
import { PictureInput } from "./picture-input.js";
import { problemBox } from "./problems.js";
import { sampleRow } from "./samples.js";
import { percent, plural } from "./words.js";

const TOP = 5;
const DIGITS = "mnist";

/** @returns {{offer: (models: object[]) => void, open: () => void, close: () => void}} */
export function classifyRoom() {
  const answers = byId("answers");
  const input = new PictureInput({ label: "A picture", multiple: true, onPictures: look });
  const chooser = new ModelChooser({
    legend: "Who looks at it",
    memory: "classify.model",
    onChange: ask,
  });
  const pad = drawingPad({
    onRest: (file) => ((drawn = file), ask()),
    onEmpty: () => ((drawn = null), ask()),
  });
  let pictures = [];
  let drawn = null;
  let asking = new AbortController();

  async function look(files) {
    pictures = files;
    input.show(files[0]);
    const asked = ask();
    if (files.length === 1) await asked;
    answers.scrollIntoView({ block: "nearest" }); // on a phone it is below the picture
  }

  function lookAtSample(file, label) {
    chooser.prefer(label);
    input.take([file]);
  }

  /** Answer what is there now. */
  async function ask() {
    asking.abort();
    asking = new AbortController();
    answers.removeAttribute("aria-busy");
    const shown = drawing() ? [drawn].filter(Boolean) : pictures;
    if (shown.length === 0 || !chooser.chosen)
      fill(answers, make("p", { class: "quiet" }, hint(shown)));
    else await answer(answers, shown, chooser.chosen, asking.signal);
  }

  function hint(shown) {
    if (!drawing()) return shown.length ? "No model can answer now." : "The answer appears here.";
    return chooser.chosen
      ? "Draw a digit, and it will be read."
      : `Digits are read by ${DIGITS}, which is not available.`;
  }

  const drawing = chooseWay((isDrawing) => {
    chooser.lock(isDrawing ? DIGITS : null);
    ask();
  });
  byId("classify-picture").append(
    input.element,
    sampleRow(["cat.jpg", "ship.jpg", "seven.jpg"], lookAtSample, input.problem),
  );
  byId("classify-pad").append(pad);
  byId("classify-models").append(chooser.element);
  takeStrays(byId("room-classify"), (files) => {
    if (drawing()) byId("way-picture").click();
    input.take(files);
  });
  ask();
  return { offer: (models) => chooser.offer(models), open() {}, close() {} };
}

/** Two ways in: a picture, or the pad. Returns whether it is the pad. */
function chooseWay(onChange) {
  const pad = byId("way-pad");
  const change = () => {
    byId("classify-pad").hidden = !pad.checked;
    byId("classify-picture").hidden = pad.checked;
    onChange(pad.checked);
  };
  for (const way of [pad, byId("way-picture")]) way.addEventListener("change", change);
  return () => pad.checked;
}

/** Ask about each picture in turn, and show each answer as soon as it comes. */
async function answer(place, files, model, signal) {
  if (files.length === 1) {
    await one(place, files[0], model, signal);
    return;
  }
  const cards = files.map((file) =>
    make("div", { class: "answer-card" }, make("p", {}, named(file.name))),
  );
  fill(place, make("p", {}, plural(files.length, "picture")), ...cards);
  for (const [index, file] of files.entries()) {
    const answer = make("div");
    cards[index].append(thumbnail(file), answer);
    await one(answer, file, model, signal);
  }
}

async function one(place, file, model, signal, tries = 0) {
  const problem = problemBox();
  const again = () => one(place, file, model, signal);
  const goOn = () => one(place, file, model, signal, tries + 1);
  place.setAttribute("aria-busy", "true");
  try {
    const found = await classified(file, model, signal);
    fill(place, verdict(found.predictions[0]), bars(found.predictions.map(shareOf)));
  } catch (error) {
    if (signal.aborted) return;
    fill(place, problem.element);
    if (error instanceof Unreachable && tries < SAME_FAILURES) {
      problem.say("The service cannot be reached. Trying again…");
      untilReachable(signal).then(goOn, () => {});
    } else if (isStarting(error) && tries < STARTING_TRIES) {
      problem.say("The model is still being loaded…");
      pause(1_000 * error.retryAfterS, signal).then(goOn, () => {});
    } else {
      problem.show(error instanceof Unreachable ? closedByService() : error, again);
    }
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function classified(file, model, signal) {
  const body = new FormData();
  body.append("file", file);
  const query = new URLSearchParams({ model, top_k: TOP });
  return call(`/classify?${query}`, { method: "POST", body, signal });
}

const verdict = ({ label, probability }) =>
  make("p", { class: "verdict" }, make("strong", {}, named(label)), ` ${percent(probability)}`);

const shareOf = ({ label, probability }) => ({ label, share: probability });

function thumbnail(file) {
  const address = URL.createObjectURL(file);
  const image = make("img", { src: address, alt: "", class: "thumbnail" });
  image.addEventListener("load", () => URL.revokeObjectURL(address));
  image.addEventListener("error", () => (URL.revokeObjectURL(address), image.remove()));
  return image;
}
