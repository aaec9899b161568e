/** Numbers as people say them; a number and its unit stay on one line. */

const LOCALE = "en";
const number = new Intl.NumberFormat(LOCALE);
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

export const count = (value) => number.format(value);

/** A share (0..1) in per cent, with a digit more where a whole number would hide something. */
export function percent(share, digits = share > 0.99 || share < 0.01 ? 1 : 0) {
  const rounded = (100 * share).toFixed(digits);
  return `${rounded.includes(".") ? rounded.replace(/\.?0+$/, "") : rounded} %`;
}

export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(value) {
  if (value < 1e6) return `${Math.max(1, Math.round(value / 1e3))} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}

export function ago(time) {
  const minutes = Math.round((Date.parse(time) - Date.now()) / 60_000);
  if (minutes > -60) return relative.format(Math.min(0, minutes), "minute");
  if (minutes > -24 * 60) return relative.format(Math.round(minutes / 60), "hour");
  return relative.format(Math.round(minutes / 60 / 24), "day");
}

/** The names of classes: all of a few, some of many. */
export function classes(names) {
  if (names.length <= 3) return names.join(" or ");
  return `${names.length} classes: ${names[0]}, ${names[1]} … ${names.at(-1)}`;
}

export const sentence = (text) =>
  text && text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** A name as a title: "stained-glass" is "Stained glass". */
export function title(name) {
  const words = name.replaceAll("-", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
