/** Files that are dropped or pasted. */

/** Take what is dropped onto an element, which shows that it would. */
export function takeDrops(element, take) {
  let inside = 0; // elements within `element` that the pointer has entered and not left
  const mark = (change) => (event) => {
    event.preventDefault();
    inside = Math.max(0, inside + change);
    element.classList.toggle("is-over", inside > 0);
  };
  element.addEventListener("dragenter", mark(1));
  element.addEventListener("dragleave", mark(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    mark(-Infinity)(event);
    event.stopPropagation();
    takeFrom(event.dataTransfer, take);
  });
}

/** Take what is pasted, or dropped beside its place, while a room is open. */
export function takeStrays(room, take) {
  document.addEventListener("paste", (event) => {
    if (!room.hidden && takeFrom(event.clipboardData, take)) event.preventDefault();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!room.hidden) takeFrom(event.dataTransfer, take);
  });
}

function takeFrom(transfer, take) {
  const files = [...(transfer?.files ?? [])];
  if (files.length) take(files);
  return files.length > 0;
}
