/** Pictures in the browser: their size, a smaller copy, swapping without a flicker. */

/** Run `use` with an address of a blob, which is let go of afterwards. */
async function withAddress(blob, use) {
  const address = URL.createObjectURL(blob);
  try {
    return await use(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Decode a picture. @throws {DOMException} it is none that this browser knows */
export async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** @returns {Promise<{width: number, height: number} | null>} upright, px; null if not readable here */
export function sizeOf(blob) {
  return withAddress(blob, async (address) => {
    const { naturalWidth: width, naturalHeight: height } = await decoded(address);
    return { width, height };
  }).catch(() => null);
}

/** A JPEG of a picture with at most `longest` px; null if it is not readable here. */
export function shrunk(blob, longest) {
  return withAddress(blob, async (address) => {
    const image = await decoded(address);
    const scale = Math.min(1, longest / Math.max(image.naturalWidth, image.naturalHeight));
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

export function toBlob(canvas, type, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

/** An element that shows one picture after another; a late one never covers a newer one. */
export class Frame {
  #image;
  #asked = 0;
  #shown = 0;

  /** @param {HTMLImageElement} image is in the document, and may be empty */
  constructor(image) {
    this.#image = image;
  }

  /** Show a picture once it can be drawn; the old one stays until then. */
  async show(address, alt = this.#image.alt) {
    const number = ++this.#asked;
    const next = await decoded(address);
    if (number < this.#shown) return;
    this.#shown = number;
    for (const { name, value } of this.#image.attributes) {
      if (name !== "src") next.setAttribute(name, value);
    }
    next.hidden = false;
    next.alt = alt;
    this.#image.replaceWith(next);
    this.#image = next;
  }
}
