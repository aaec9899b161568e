/** Files that are dropped or pasted. */

/** Accept files dropped onto an element, and highlight it meanwhile. */
export function acceptDrops(element, onFiles) {
  let depth = 0; // elements within `element` that the pointer has entered and not left
  const changeDepth = (change) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    element.classList.toggle("is-drag-over", depth > 0);
  };
  element.addEventListener("dragenter", changeDepth(1));
  element.addEventListener("dragleave", changeDepth(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    changeDepth(-Infinity)(event);
    event.stopPropagation();
    passFiles(event.dataTransfer, onFiles);
  });
}

/** Accept files pasted, or dropped outside of a drop zone, while a tab is open. */
export function acceptFilesInTab(tab, onFiles) {
  document.addEventListener("paste", (event) => {
    if (!tab.hidden && passFiles(event.clipboardData, onFiles)) event.preventDefault();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!tab.hidden) passFiles(event.dataTransfer, onFiles);
  });
}

function passFiles(transfer, onFiles) {
  const files = [...(transfer?.files ?? [])];
  if (files.length) onFiles(files);
  return files.length > 0;
}
