/** Files in the browser: checks before an upload, and decoding of images. */

import { getLimit } from "./api.js";
import { userText } from "./dom.js";
import { IMAGE_FORMATS } from "./errors.js";
import { formatBytes, formatNumber } from "./format.js";

const DISPLAYABLE_IMAGE = /^(\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8|RIFF.{4}WEBP)/s; // in every browser
const OTHER_IMAGE = /^(BM|II[*+]\0|MM\0[*+])/; // BMP and TIFF, which some browsers cannot read
const HEADER_BYTES = 12;
const ZIP_END_MARK = "PK\x05\x06";
const ZIP_END_BYTES = 22 + 0xffff; // with the longest comment
const ZIP_COUNT_OFFSET = 10; // of the number of entries, from the mark

/**
 * Check files with `findProblem`, which returns a message or null.
 *
 * @returns {Promise<{valid: File[], message: (Node | string)[] | null}>} the message is about the
 *   first invalid file
 */
export async function checkFiles(files, findProblem) {
  const problems = await Promise.all(files.map(findProblem));
  return {
    valid: files.filter((_, index) => !problems[index]),
    message: problems.find(Boolean) ?? null,
  };
}

/** Return a message about a file, as children of an element. */
export const messageAbout = (file, text) => ["“", userText(file.name), `” ${text}`];

/** Return the reason why a file is not a usable image, or null. */
export async function findImageProblem(file) {
  const message = await findFileProblem(file, "max_image_bytes");
  if (message) return message;
  const header = await readText(file.slice(0, HEADER_BYTES));
  if (OTHER_IMAGE.test(header)) return null;
  if (!DISPLAYABLE_IMAGE.test(header))
    return messageAbout(file, `is not an image. Choose a ${IMAGE_FORMATS} file.`);
  const size = await readImageSize(file);
  if (!size) return messageAbout(file, "is a damaged image. Choose another file.");
  const pixels = size.width * size.height;
  const maxPixels = getLimit("max_image_pixels");
  if (pixels <= maxPixels) return null;
  return messageAbout(
    file,
    `is too large: it has ${formatNumber(pixels)} pixels; the limit is ${formatNumber(maxPixels)}. ` +
      "Choose a smaller copy.",
  );
}

/** Return the reason why a file is not a usable archive, or null. */
export async function findArchiveProblem(file) {
  const message = await findFileProblem(file, "max_archive_bytes");
  if (message) return message;
  if (file.type.startsWith("image/"))
    return messageAbout(
      file,
      "is a single image. Put the images into a zip archive, in one folder for each class.",
    );
  const entries = await countZipEntries(file);
  if (entries === null)
    return messageAbout(file, "is not a zip archive, or it is incomplete. Choose another file.");
  return entries ? null : messageAbout(file, "is an empty archive. Add images to it.");
}

/** @returns {Promise<{width: number, height: number} | null>} upright, px; null if not decodable */
export function readImageSize(blob) {
  return withObjectUrl(blob, async (url) => {
    const { naturalWidth: width, naturalHeight: height } = await decodeImage(url);
    return { width, height };
  }).catch(() => null);
}

/** Return a JPEG copy of an image with sides up to `maxPx`; null if it is not decodable. */
export function shrinkImage(blob, maxPx) {
  return withObjectUrl(blob, async (url) => {
    const image = await decodeImage(url);
    const scale = Math.min(1, maxPx / Math.max(image.naturalWidth, image.naturalHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return toBlob(canvas, "image/jpeg", 0.88);
  }).catch(() => null);
}

/** Decode an image. @throws {DOMException} this browser cannot decode it */
export async function decodeImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

export function toBlob(canvas, type, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

/** An image element that changes its picture without flicker and never goes back to an older one. */
export class SmoothImage {
  #image;
  #lastRequested = 0;
  #lastShown = 0;

  /** @param {HTMLImageElement} image is in the document, and may be empty */
  constructor(image) {
    this.#image = image;
  }

  /** Show an image once it is decoded; the previous one stays until then. */
  async show(url, alt = this.#image.alt) {
    const number = ++this.#lastRequested;
    const next = await decodeImage(url);
    if (number < this.#lastShown) return;
    this.#lastShown = number;
    for (const { name, value } of this.#image.attributes) {
      if (name !== "src") next.setAttribute(name, value);
    }
    next.hidden = false;
    next.alt = alt;
    this.#image.replaceWith(next);
    this.#image = next;
  }
}

async function findFileProblem(file, limitName) {
  const isReadable = await file.slice(0, 1).arrayBuffer().then(() => true, () => false);
  if (!isReadable) return messageAbout(file, "cannot be read. Choose a file, not a folder.");
  if (!file.size) return messageAbout(file, "is empty. Choose another file.");
  const limit = getLimit(limitName);
  if (file.size <= limit) return null;
  return messageAbout(
    file,
    `is too large: it has ${formatBytes(file.size)}; the limit is ${formatBytes(limit)}. ` +
      "Choose a smaller file.",
  );
}

/** Return the number of entries in a zip archive's directory; null if its end is missing. */
async function countZipEntries(file) {
  const text = await readText(file.slice(-ZIP_END_BYTES));
  const offset = text.lastIndexOf(ZIP_END_MARK) + ZIP_COUNT_OFFSET;
  if (offset < ZIP_COUNT_OFFSET || offset + 1 >= text.length) return null;
  return text.charCodeAt(offset) + 256 * text.charCodeAt(offset + 1);
}

/** Return the bytes of a blob as a string with one character for each byte. */
async function readText(blob) {
  const characters = Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) =>
    String.fromCharCode(byte),
  );
  return characters.join("");
}

/** Call `use` with a temporary URL of a blob. */
async function withObjectUrl(blob, use) {
  const url = URL.createObjectURL(blob);
  try {
    return await use(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
