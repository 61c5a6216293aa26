// Days as texts: "2026-10-31". They are days of the calendar, without a time zone.

export const DAY_MS = 24 * 60 * 60 * 1000;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Whether a text is a day of the calendar, such as "2026-10-31". */
export function isDay(text) {
  const at = DAY.test(text ?? "") ? Date.parse(text) : Number.NaN;
  // Some browsers take 30 February for 2 March.
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

/** Return the present day in a time zone. */
export function today(timeZone) {
  const parts = new Intl.DateTimeFormat("en", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts();
  const part = (name) => parts.find(({ type }) => type === name).value;
  return `${part("year")}-${part("month")}-${part("day")}`;
}

/** Return the day that is some days later, or "" if that is no day. */
export function plus(day, count) {
  const at = Date.parse(day);
  return Number.isNaN(at) ? "" : text(at + count * DAY_MS);
}

/** Return the first day of the month that is some months later. */
function monthFrom(day, count) {
  const [year, month] = day.split("-").map(Number);
  return text(Date.UTC(year, month - 1 + count));
}

/** Return a period that people often want, as the first day and the day after the last one. */
export const PRESETS = {
  yesterday: (day) => [plus(day, -1), day],
  "7-days": (day) => [plus(day, -7), day],
  "30-days": (day) => [plus(day, -30), day],
  "last-month": (day) => [monthFrom(day, -1), monthFrom(day, 0)],
  "this-month": (day) => [monthFrom(day, 0), monthFrom(day, 1)],
};

/** Return the newest period that is over, as the values of a field. */
export function newest({ kind, names }, day) {
  const [year, month] = monthFrom(day, -1).split("-").map(Number);
  if (kind === "month") return { year: `${year}`, month: `${month}` };
  if (kind === "year") return { year: `${Number(day.slice(0, 4)) - 1}` };
  if (kind === "days") return Object.fromEntries(PRESETS["7-days"](day).map((one, index) => [names[index], one]));
  return null;
}

/** Whether a period of these values has not begun. */
export function isFuture({ kind }, values, day) {
  if (kind === "days") return values.from > day;
  const first = `${values.year}-${(values.month ?? "1").padStart(2, "0")}-01`;
  return first > day;
}

function text(at) {
  const day = new Date(at);
  return Number.isNaN(day.getTime()) ? "" : day.toISOString().slice(0, 10);
}
