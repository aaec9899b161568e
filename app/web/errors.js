/** Error messages and the boxes that show them. */

import { NetworkError } from "./api.js";
import { create, setChildren } from "./dom.js";
import { formatDuration, toSentence } from "./format.js";

export const IMAGE_FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF";

/** Messages by problem code. */
const MESSAGES = {
  unsupported_format: `The file is not an image in a supported format. Choose a ${IMAGE_FORMATS} file.`,
  queue_full: "Too many jobs are queued.",
  overloaded: "The service is overloaded.",
  deadline_exceeded: "The service was too busy to answer in time.",
  internal_error: "The service failed. Its log has the details.",
  unknown_job: "The job does not exist. It may have been deleted.",
  unknown_key: "The API key is not valid. Check the key, or ask the operator for a new one.",
  rate_limited: "You sent too many requests within a minute.",
  quota_exceeded: "Your jobs use all of your storage quota. Delete finished jobs to free space.",
  expired: "The files of this job have expired and are deleted.",
};

/** Messages that are followed by the detail of the response. */
const MESSAGES_WITH_DETAIL = {
  undecodable_image: "The image is damaged.",
  image_too_large: "The image is too large.",
  request_too_large: "The upload is too large.",
  archive_too_large: "The archive is too large.",
  invalid_archive: "The archive cannot be used.",
  nothing_labelled: "The archive has no labeled images.",
};

/** The error of a succeeded job whose files are deleted. */
export const EXPIRED = { code: "expired" };

/** Return the text of an error for display. @param {Error} error */
export function errorMessage(error) {
  if (error instanceof NetworkError) return "The service cannot be reached.";
  if (!error.code) throw error;
  const { code, detail, title, retryAfterS } = error;
  if (code === "model_unavailable" && retryAfterS) return "The model is still loading.";
  if (code in MESSAGES_WITH_DETAIL) return `${MESSAGES_WITH_DETAIL[code]} ${toSentence(detail)}`;
  return MESSAGES[code] ?? toSentence(detail || title);
}

/** Create a place for one error, which screen readers announce when it appears. */
export function createErrorBox() {
  const element = create("div", { class: "error", role: "alert" });
  const clear = () => setChildren(element);
  const showMessage = (...text) => setChildren(element, create("p", {}, ...text));
  const scrollIntoView = () => element.scrollIntoView({ block: "nearest" });
  return {
    element,
    clear,
    /** Show a message. @param {...(Node | string)} text */
    showMessage,
    scrollIntoView,
    /** Show a message and scroll to it, because the box may be out of view. */
    showInView(text) {
      showMessage(text);
      scrollIntoView();
    },
    /** Show an error, with a button if a retry may help. @param {Error} error @param {() => void} [retry] */
    showError(error, retry) {
      if (error.name === "AbortError") return;
      const button = create(
        "button",
        { type: "button", onclick: () => (clear(), retry()) },
        "Try again",
      );
      const wait = error.retryAfterS ? ` Try again in ${formatDuration(error.retryAfterS)}.` : "";
      const mayRetry = retry && (error.retryAfterS || error.status >= 500 || !error.status);
      setChildren(element, create("p", {}, errorMessage(error) + wait), mayRetry ? button : null);
    },
  };
}
