/** Formatting of numbers, sizes, times and names for display. */

const LOCALE = "en";
const number = new Intl.NumberFormat(LOCALE);
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

const STATUS_LABELS = {
  queued: "queued",
  running: "in progress",
  succeeded: "finished",
  failed: "failed",
  cancelled: "canceled",
};

export const formatNumber = (value) => number.format(value);

/** Format a fraction (0..1) as a percentage, with one more digit where rounding hides a difference. */
export function formatPercent(fraction, digits = fraction > 0.99 || fraction < 0.01 ? 1 : 0) {
  const rounded = (100 * fraction).toFixed(digits);
  return `${rounded.includes(".") ? rounded.replace(/\.?0+$/, "") : rounded}%`;
}

/** Format a duration; a number and its unit stay on one line. */
export function formatDuration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole}\u00a0s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes}\u00a0min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function formatBytes(value) {
  if (value < 1e6) return `${Math.max(1, Math.round(value / 1e3))}\u00a0kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)}\u00a0MB` : `${(value / 1e9).toFixed(1)}\u00a0GB`;
}

/** Format a past time relative to now. */
export function formatAge(time) {
  const minutes = Math.round((Date.parse(time) - Date.now()) / 60_000);
  if (minutes >= 0) return "just now";
  if (minutes > -60) return relative.format(minutes, "minute");
  if (minutes > -24 * 60) return relative.format(Math.round(minutes / 60), "hour");
  return relative.format(Math.round(minutes / 60 / 24), "day");
}

/** Format class names: all of up to three, some of more. */
export function formatClasses(names) {
  if (names.length <= 3) return names.join(" or ");
  return `${names.length} classes: ${names[0]}, ${names[1]} … ${names.at(-1)}`;
}

export const formatStatus = (status) => STATUS_LABELS[status] ?? status;

/** Capitalize a text and end it with a period. */
export const toSentence = (text) =>
  text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

/** Turn a name into a title: "stained-glass" becomes "Stained glass". */
export function toTitle(name) {
  const words = name.replaceAll("-", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export const pluralize = (n, singular, plural = `${singular}s`) =>
  `${formatNumber(n)} ${n === 1 ? singular : plural}`;
