/** Image input: a drop zone with file chooser, paste, camera and preview. */

import { loadImage, saveImage } from "./browser-storage.js";
import { create, setChildren, userText } from "./dom.js";
import { acceptDrops } from "./drop-zone.js";
import { createErrorBox } from "./errors.js";
import {
  checkFiles,
  decodeImage,
  findImageProblem,
  messageAbout,
  readImageSize,
  toBlob,
} from "./files.js";
import { createSampleRow } from "./samples.js";

const PHOTO_KEY = "photo";
const CAMERA_ERRORS = {
  NotAllowedError: "The browser blocks the camera. Allow it for this page and try again.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "Another program is using the camera. Close it and try again.",
};
const CAMERA_NEEDS_HTTPS =
  "Browsers allow the camera only for pages on https or localhost. Choose a file instead.";

export class ImageInput {
  #url = null;
  #image = create("img", { class: "drop-zone-image", alt: "", hidden: true });
  #text;
  #isMultiple;
  #onImages;

  /**
   * @param {{label: string, multiple?: boolean, onImages: (files: File[]) => void}} options
   */
  constructor({ label, multiple = false, onImages }) {
    this.errorBox = createErrorBox();
    this.#isMultiple = multiple;
    this.#onImages = onImages;
    const input = create("input", {
      type: "file",
      class: "visually-hidden",
      accept: "image/*",
      multiple,
      "aria-label": label,
      onchange: () => {
        this.addFiles([...input.files]);
        input.value = ""; // so that the same file can be chosen again
      },
    });
    this.#text = create(
      "span",
      { class: "drop-zone-text" },
      create("strong", {}, label),
      create("span", {}, "or drop or paste it here"),
    );
    const zone = create("label", { class: "drop-zone" }, input, this.#image, this.#text);
    acceptDrops(zone, (files) => this.addFiles(files));
    const camera = createCameraButton((file) => this.addFiles([file]), this.errorBox);
    const actions = create("div", { class: "actions" }, camera);
    this.element = create("div", {}, zone, actions, this.errorBox.element);
  }

  /** Check files and pass the valid ones on, as if they had been chosen. */
  async addFiles(files) {
    const { valid, message } = await checkFiles(files, findImageProblem);
    const [first, ...others] = valid;
    const hasTooMany = others.length > 0 && !this.#isMultiple;
    this.errorBox.clear();
    if (first) this.#onImages(hasTooMany ? [first] : valid);
    if (message) this.errorBox.showMessage(...message);
    else if (hasTooMany)
      this.errorBox.showMessage(...messageAbout(first, "is used. The other files are ignored."));
  }

  /** Show an image, or its name if this browser cannot decode it; null shows none. */
  async show(file) {
    URL.revokeObjectURL(this.#url);
    const url = file && URL.createObjectURL(file);
    this.#url = url;
    const isDecodable = file && (await decodeImage(url).catch(() => null));
    if (url !== this.#url) return;
    this.#image.hidden = !isDecodable;
    this.#text.hidden = Boolean(isDecodable);
    if (isDecodable) Object.assign(this.#image, { src: url, alt: file.name });
    else if (file)
      setChildren(
        this.#text,
        create("strong", {}, userText(file.name)),
        create("span", {}, "This browser cannot show a preview."),
      );
  }
}

/** The input of the photo to stylize; the photo survives a reload. */
export class PhotoInput {
  file = null;
  size = null;
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    this.input = new ImageInput({
      label: "Choose a photo",
      onImages: ([file]) => this.#setFile(file),
    });
    const addFile = (file) => this.input.addFiles([file]);
    this.input.element.append(
      createSampleRow(["lake.jpg", "cat.jpg", "ship.jpg"], addFile, this.input.errorBox),
    );
  }

  /** Restore the photo of the last visit. */
  async restore() {
    const saved = await loadImage(PHOTO_KEY);
    if (saved && !this.file) await this.#setFile(saved);
  }

  async #setFile(file) {
    this.file = file;
    this.input.show(file);
    const size = await readImageSize(file);
    if (this.file !== file) return; // replaced meanwhile
    this.size = size;
    this.#onChange();
    await saveImage(PHOTO_KEY, file);
  }
}

function createCameraButton(onImage, errorBox) {
  const open = async () => {
    errorBox.clear();
    if (navigator.mediaDevices) await openCamera(onImage, errorBox);
    else if (matchMedia("(pointer: coarse)").matches) openCameraApp(onImage);
    else errorBox.showMessage(CAMERA_NEEDS_HTTPS);
  };
  return create("button", { type: "button", onclick: open }, "Use the camera");
}

async function openCamera(onImage, errorBox) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const message = CAMERA_ERRORS[error.name] ?? `The camera does not start: ${error.message}`;
    errorBox.showMessage(message);
    return;
  }
  const video = create("video", { playsinline: true, "aria-label": "Camera preview" });
  video.muted = true;
  video.srcObject = stream;
  const dialog = create("dialog", { class: "camera", "aria-label": "Camera" }, video);
  const takePhoto = async () => {
    const file = await captureFrame(video);
    dialog.close();
    onImage(file);
  };
  const shutter = create(
    "button",
    { type: "button", class: "primary", disabled: true, onclick: takePhoto },
    "Take photo",
  );
  const close = create("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(create("div", { class: "actions" }, shutter, close));
  video.addEventListener("loadeddata", () => (shutter.disabled = false));
  dialog.addEventListener("close", () => {
    stream.getTracks().forEach((track) => track.stop());
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  await video.play().catch(() => {}); // the dialog may be closed already
}

async function captureFrame(video) {
  const canvas = create("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await toBlob(canvas, "image/jpeg", 0.92);
  return new File([blob], "camera.jpg", { type: blob.type });
}

/** Open a phone's camera app through a file input, which works without https. */
function openCameraApp(onImage) {
  const input = create("input", { type: "file", accept: "image/*", capture: "environment" });
  input.addEventListener("change", () => onImage(input.files[0]));
  input.click();
}
