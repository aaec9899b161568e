/** A canvas for drawing a digit, in black on white. */

import { create } from "./dom.js";
import { toBlob } from "./files.js";

const SIDE_PX = 560;
const PEN_PX = 36;
const IDLE_MS = 300;

/**
 * Create a drawing pad.
 *
 * @param {{onDrawing: (file: File) => void, onEmpty: () => void}} options `onDrawing` gets the
 *   drawing each time the pen pauses
 */
export function createDrawingPad({ onDrawing, onEmpty }) {
  const canvas = create("canvas", {
    class: "drawing-pad",
    width: SIDE_PX,
    height: SIDE_PX,
    role: "img",
    "aria-label": "Drawing area. Draw with a pen, a finger or the mouse.",
  });
  const strokes = [];
  let idleTimer;

  let version = 0; // detects a drawing that changed during its export
  const exportDrawing = async (exportedVersion) => {
    const file = await toFile(canvas);
    if (exportedVersion === version) onDrawing(file);
  };
  const handleChange = () => {
    version += 1;
    redraw(canvas, strokes);
    clearTimeout(idleTimer);
    undo.disabled = clear.disabled = strokes.length === 0;
    if (strokes.length === 0) onEmpty();
    else idleTimer = setTimeout(() => exportDrawing(++version), IDLE_MS);
  };
  const undo = create(
    "button",
    { type: "button", disabled: true, onclick: () => (strokes.pop(), handleChange()) },
    "Undo",
  );
  const clear = create(
    "button",
    { type: "button", disabled: true, onclick: () => (strokes.splice(0), handleChange()) },
    "Clear",
  );
  recordStrokes(canvas, strokes, handleChange);
  redraw(canvas, strokes);
  return create("div", {}, canvas, create("div", { class: "actions" }, undo, clear));
}

function recordStrokes(canvas, strokes, onChange) {
  let stroke = null;
  const toPoint = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = SIDE_PX / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.push((stroke = [toPoint(event)]));
    onChange();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const coalesced = event.getCoalescedEvents?.() ?? [];
    stroke.push(...(coalesced.length ? coalesced : [event]).map(toPoint));
    onChange();
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
    for (const point of rest.length ? rest : [start]) context.lineTo(...point);
    context.stroke();
  }
}

async function toFile(canvas) {
  return new File([await toBlob(canvas, "image/png")], "drawing.png", { type: "image/png" });
}
