/** Takes a picture with the camera, or says why it cannot. */

import { make } from "./dom.js";
import { toBlob } from "./pictures.js";

const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it for this page and try again.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "Another program is using the camera.",
};
const NEEDS_HTTPS = "Browsers lend the camera only to pages on https or localhost.";

/**
 * @param {(file: File) => void} onPicture
 * @param {{say: (text: string) => void, clear: () => void}} problem
 */
export function cameraButton(onPicture, problem) {
  const open = async () => {
    problem.clear();
    if (navigator.mediaDevices) await photograph(onPicture, problem);
    else if (matchMedia("(pointer: coarse)").matches) ownCameraApp(onPicture);
    else problem.say(NEEDS_HTTPS);
  };
  return make("button", { type: "button", onclick: open }, "Use the camera");
}

async function photograph(onPicture, problem) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    problem.say(REASONS[error.name] ?? `The camera does not start: ${error.message}`);
    return;
  }
  const video = make("video", { playsinline: true, "aria-label": "What the camera sees" });
  video.muted = true;
  video.srcObject = stream;
  const dialog = make("dialog", { class: "camera", "aria-label": "Camera" }, video);
  const shoot = async () => {
    const file = await still(video);
    dialog.close();
    onPicture(file);
  };
  const shutter = make(
    "button",
    { type: "button", class: "primary", disabled: true, onclick: shoot },
    "Take the picture",
  );
  const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(make("div", { class: "actions" }, shutter, close));
  video.addEventListener("loadeddata", () => (shutter.disabled = false));
  dialog.addEventListener("close", () => {
    stream.getTracks().forEach((track) => track.stop());
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  await video.play().catch(() => {}); // the dialog may be closed by now
}

async function still(video) {
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await toBlob(canvas, "image/jpeg", 0.92);
  return new File([blob], "camera.jpg", { type: blob.type });
}

/** A phone's camera app, which a file input may ask for without https. */
function ownCameraApp(onPicture) {
  const input = make("input", { type: "file", accept: "image/*", capture: "environment" });
  input.addEventListener("change", () => onPicture(input.files[0]));
  input.click();
}
