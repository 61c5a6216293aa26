// Values of a preview, as the language of the page writes them.

import { day, exactNumber, localTime, month } from "./format.js";
import { t } from "./texts.js";

const NUMBERS = new Set(["integer", "number", "decimal"]);

/** Whether values of this type are aligned at the right. */
export function isNumber(type) {
  return NUMBERS.has(type);
}

/** Return a value of a column as text; "" if there is none. */
export function cellText(value, type) {
  if (value === null || value === undefined) return "";
  if (NUMBERS.has(type)) return exactNumber(value);
  if (typeof value === "boolean") return t(value ? "cell.yes" : "cell.no");
  if (typeof value === "object") return JSON.stringify(value);
  if (type === "datetime") return localTime(String(value));
  if (type === "date" || type === "month") return periodText(String(value));
  return String(value);
}

/** "2026-10-31" → "31 Oct 2026", "2026-10" → "October 2026" */
export function periodText(text) {
  const parts = /^(\d{4})-(\d{2})(-\d{2})?$/.exec(text);
  if (!parts) return text;
  return parts[3] ? day(Date.parse(text), "UTC") : month(Number(parts[1]), Number(parts[2]));
}

/** Return the offset from UTC that all times of a column have: "+08:00"; null if they differ. */
export function offsetOf(rows, name) {
  const offsets = new Set(rows.map((row) => row[name]).filter(Boolean).map((text) => /([+-]\d\d:\d\d|Z)$/.exec(text)?.[0]));
  const [offset] = offsets;
  return offsets.size === 1 && offset ? (offset === "Z" ? "+00:00" : offset) : null;
}
