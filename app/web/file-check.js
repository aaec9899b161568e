/** Looks at files before they are sent, and says in words what cannot be right. */

import { named } from "./dom.js";
import { most } from "./limits.js";
import { sizeOf } from "./pictures.js";
import { bytes } from "./words.js";

const DRAWN = /^(\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8|RIFF.{4}WEBP)/s; // by every browser
const NOT_DRAWN = /^(BM|II[*+]\0|MM\0[*+])/; // BMP and TIFF, which some browsers cannot read
const HEAD_BYTES = 12;
const ZIP_END = "PK\x05\x06";
const ZIP_END_BYTES = 22 + 0xffff; // with the longest comment
const ZIP_COUNT_AT = 10; // where the number of entries is, after the mark

/**
 * Sort files by what `problemWith` says of each: null, or words.
 *
 * @returns {Promise<{good: File[], words: (Node | string)[] | null}>} `words` are about one of the
 *   files that are not good
 */
export async function checked(files, problemWith) {
  const problems = await Promise.all(files.map(problemWith));
  return {
    good: files.filter((_, at) => !problems[at]),
    words: problems.find(Boolean) ?? null,
  };
}

/** Words about a file, to be filled into an element. */
export const about = (file, words) => ["“", named(file.name), `” ${words}`];

/** Say why a file is no picture that can be used; null if it may be one. */
export async function pictureProblem(file) {
  const words = await fileProblem(file, "max_image_bytes");
  if (words) return words;
  const head = await textOf(file.slice(0, HEAD_BYTES));
  if (NOT_DRAWN.test(head)) return null;
  if (!DRAWN.test(head))
    return about(file, "is not a picture. JPEG, PNG, WebP, BMP, GIF and TIFF can be read.");
  const size = await sizeOf(file);
  if (!size) return about(file, "is a damaged picture.");
  if (size.width * size.height <= most("max_image_pixels")) return null;
  return about(file, `is too large: it has ${size.width} × ${size.height} pixels.`);
}

/** Say why a file is no archive that can be used; null if it may be one. */
export async function archiveProblem(file) {
  const words = await fileProblem(file, "max_archive_bytes");
  if (words) return words;
  if (file.type.startsWith("image/"))
    return about(
      file,
      "is one picture. Put pictures into a zip archive, in a folder for each class.",
    );
  const entries = await zipEntries(file);
  if (entries === null) return about(file, "is not a zip archive, or not all of one.");
  return entries ? null : about(file, "is an empty archive: there are no pictures in it.");
}

async function fileProblem(file, limit) {
  const isReadable = await file.slice(0, 1).arrayBuffer().then(() => true, () => false);
  if (!isReadable) return about(file, "cannot be read; is it a folder?");
  if (!file.size) return about(file, "is empty.");
  const largest = most(limit);
  if (file.size <= largest) return null;
  return about(file, `is too large: ${bytes(file.size)}, and at most ${bytes(largest)} are taken.`);
}

/** How many entries a zip archive says it has; null for what has not the end of one. */
async function zipEntries(file) {
  const text = await textOf(file.slice(-ZIP_END_BYTES));
  const at = text.lastIndexOf(ZIP_END) + ZIP_COUNT_AT;
  if (at < ZIP_COUNT_AT || at + 1 >= text.length) return null;
  return text.charCodeAt(at) + 256 * text.charCodeAt(at + 1);
}

/** The bytes of a blob, each as a character. */
async function textOf(blob) {
  const characters = Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) =>
    String.fromCharCode(byte),
  );
  return characters.join("");
}
