/** Says errors in words, at the place where they happen. */

import { Unreachable } from "./api.js";
import { fill, make } from "./dom.js";
import { duration, sentence } from "./words.js";

const FORMATS = "JPEG, PNG, WebP, BMP, GIF and TIFF";
const WORDS = {
  unsupported_format: () => `This is not a picture that can be read. ${FORMATS} can.`,
  undecodable_image: (detail) => `The picture is damaged: ${detail}`,
  image_too_large: (detail) => `The picture is too large: ${detail}`,
  request_too_large: (detail) => `That is too much at once: ${detail}`,
  archive_too_large: (detail) => `The archive is too large: ${detail}`,
  invalid_archive: (detail) => `The archive cannot be used: ${detail}`,
  nothing_labelled: (detail) => `There is nothing to evaluate on: ${detail}`,
  model_unavailable: (detail, isPassing) =>
    isPassing ? "The model is still being loaded." : detail,
  queue_full: () => "Too many jobs are waiting already.",
  overloaded: () => "The service has more to do than it can just now.",
  deadline_exceeded: () => "The service was too busy to answer in time.",
  internal_error: () => "The service failed, and its log says why.",
  unknown_job: () => "This job is not there any more; it may have been deleted.",
  unknown_key: () => "This key is not one of the service's.",
  rate_limited: () => "That was as much as one may ask for in a minute.",
  quota_exceeded: () =>
    "Your jobs take all the room that is kept for them. Delete some that are finished.",
  expired: () => "The files of this job have been removed by now.",
};

/** A job that ended well a while ago. */
export const EXPIRED = { code: "expired" };

/** @param {Error} error */
export function inWords(error) {
  if (error instanceof Unreachable) return "The service cannot be reached.";
  if (!error.code) throw error;
  const words = WORDS[error.code];
  const passing = Boolean(error.retryAfterS);
  return sentence(words ? words(error.detail, passing) : error.detail || error.title);
}

/** A place for one error; screen readers speak it when it appears. */
export function problemBox() {
  const element = make("div", { class: "problem", role: "alert" });
  const clear = () => fill(element);
  const say = (...words) => fill(element, make("p", {}, ...words));
  const reveal = () => element.scrollIntoView({ block: "nearest" });
  return {
    element,
    clear,
    say,
    /** Bring it into view. */
    reveal,
    /** Say what is missing, which may be out of sight. */
    ask(text) {
      say(text);
      reveal();
    },
    /** @param {Error} error @param {() => void} [again] what the button does, if trying again may help */
    show(error, again) {
      if (error.name === "AbortError") return;
      const button = make(
        "button",
        { type: "button", onclick: () => (clear(), again()) },
        "Try again",
      );
      const wait = error.retryAfterS ? ` Try again in ${duration(error.retryAfterS)}.` : "";
      const mayHelp = again && (error.retryAfterS || error.status >= 500 || !error.status);
      fill(element, make("p", {}, inWords(error) + wait), mayHelp ? button : null);
    },
  };
}
