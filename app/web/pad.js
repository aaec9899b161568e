/** A sheet to draw a digit on, black on white as with a pen. */

import { make } from "./dom.js";
import { toBlob } from "./pictures.js";

const SIDE_PX = 560;
const PEN_PX = 36;
const REST_MS = 300;

/**
 * @param {{onRest: (file: File) => void, onEmpty: () => void}} options `onRest` gets the drawing
 *   once the pen has rested a moment
 */
export function drawingPad({ onRest, onEmpty }) {
  const canvas = make("canvas", {
    class: "pad",
    width: SIDE_PX,
    height: SIDE_PX,
    role: "img",
    "aria-label": "Sheet to draw on with a pen, a finger or the mouse",
  });
  const strokes = [];
  let resting;

  let version = 0; // so that a drawing which changed while it was read is not answered
  const rest = async (mine) => {
    const file = await drawing(canvas);
    if (mine === version) onRest(file);
  };
  const changed = () => {
    version += 1;
    redraw(canvas, strokes);
    clearTimeout(resting);
    undo.disabled = clear.disabled = strokes.length === 0;
    if (strokes.length === 0) onEmpty();
    else resting = setTimeout(() => rest(++version), REST_MS);
  };
  const undo = make(
    "button",
    { type: "button", disabled: true, onclick: () => (strokes.pop(), changed()) },
    "Undo",
  );
  const clear = make(
    "button",
    { type: "button", disabled: true, onclick: () => (strokes.splice(0), changed()) },
    "Clear",
  );
  followPen(canvas, strokes, changed);
  redraw(canvas, strokes);
  return make("div", {}, canvas, make("div", { class: "actions" }, undo, clear));
}

function followPen(canvas, strokes, changed) {
  let stroke = null;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = SIDE_PX / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.push((stroke = [point(event)]));
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const between = event.getCoalescedEvents?.() ?? [];
    stroke.push(...(between.length ? between : [event]).map(point));
    changed();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (stroke = null));
  }
}

function redraw(canvas, strokes) {
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIDE_PX, SIDE_PX);
  context.strokeStyle = "#111";
  context.lineWidth = PEN_PX;
  context.lineCap = context.lineJoin = "round";
  for (const [start, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(...start);
    for (const each of rest.length ? rest : [start]) context.lineTo(...each);
    context.stroke();
  }
}

async function drawing(canvas) {
  return new File([await toBlob(canvas, "image/png")], "drawing.png", { type: "image/png" });
}
