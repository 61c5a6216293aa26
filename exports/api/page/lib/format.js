// Numbers, sizes and times, as the language of the page writes them. Times are epoch milliseconds.

import { DAY_MS } from "./days.js";
import { language } from "./texts.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const made = new Map();

/** Return a formatter of Intl; they are slow to make. */
function intl(kind, options) {
  const locale = localeOf(language.value);
  const key = `${locale} ${kind} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Intl[kind](locale, options));
  return made.get(key);
}

/** Return how the browser's owner writes the language: `en-GB` for `en`, if that is theirs. */
function localeOf(tag) {
  const [wanted] = tag.split("-");
  return navigator.languages.find((own) => own.split("-")[0] === wanted) ?? tag;
}

export function number(value) {
  return intl("NumberFormat", { maximumFractionDigits: 20 }).format(value);
}

/** A number that may be text, with all its digits: "12.50" stays "12.50". */
export function exactNumber(value) {
  const parts = /^-?\d+(?:\.(\d+))?$/.exec(String(value));
  if (!parts) return String(value);
  const digits = Math.min(100, parts[1]?.length ?? 0);
  return intl("NumberFormat", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A figure of a chart, which is the nearest float: without the digits that mean nothing. */
export function figure(value) {
  return intl("NumberFormat", { maximumFractionDigits: Math.abs(value) < 1 ? 6 : 2 }).format(value);
}

/** 1234567 → "1.2M" */
export function short(value) {
  return intl("NumberFormat", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** Bytes → "10.1 kB" */
export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let step = 0;
  let value = bytes;
  for (; value >= 999.5 && step < units.length - 1; step += 1) value /= 1000;
  const digits = value < 10 && step ? 1 : 0;
  const options = { style: "unit", unit: units[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: digits };
  return intl("NumberFormat", options).format(value);
}

/** A day and a time: "28 Nov 2026, 11:15" */
export function moment(at, timeZone) {
  return intl("DateTimeFormat", { dateStyle: "medium", timeStyle: "short", timeZone }).format(at);
}

/** The same to the second, with the time zone: for a tooltip. */
export function exactly(at) {
  return intl("DateTimeFormat", { dateStyle: "full", timeStyle: "long" }).format(at);
}

/** A time of today: "11:15" */
export function clockTime(at, timeZone) {
  return intl("DateTimeFormat", { timeStyle: "short", timeZone }).format(at);
}

/** "Monday"; 1 is Monday */
export function weekdayName(index) {
  const options = { weekday: language.value === "en" ? "long" : "short", timeZone: "UTC" };
  return intl("DateTimeFormat", options).format(Date.UTC(2024, 0, index)); // a year that began on a Monday
}

/** "March 1", "3月1日" */
export function dayOfYear(monthIndex, dayIndex) {
  const options = { month: "long", day: "numeric", timeZone: "UTC" };
  return intl("DateTimeFormat", options).format(Date.UTC(2024, monthIndex - 1, dayIndex));
}

/** A day: "28 Nov 2026" */
export function day(at, timeZone) {
  return intl("DateTimeFormat", { dateStyle: "medium", timeZone }).format(at);
}

/** A day, short, for the axis of a chart: "28 Nov" */
export function dayTick(at) {
  return intl("DateTimeFormat", { day: "numeric", month: "short", timeZone: "UTC" }).format(at);
}

/** A month, short, for the axis of a chart: "Nov 26" */
export function monthTick(at) {
  return intl("DateTimeFormat", { month: "short", year: "2-digit", timeZone: "UTC" }).format(at);
}

/** A time as its own time zone has it: "2026-10-01T00:22:22.448+08:00" → "1 Oct 2026, 00:22:22" */
export function localTime(text) {
  const at = Date.parse(text.replace(/(Z|[+-]\d\d:\d\d)$/, "Z"));
  if (Number.isNaN(at)) return text;
  return intl("DateTimeFormat", { dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" }).format(at);
}

/** "November 2026" */
export function month(year, index) {
  const first = Date.UTC(year, index - 1);
  return intl("DateTimeFormat", { year: "numeric", month: "long", timeZone: "UTC" }).format(first);
}

/** "November" */
export function monthName(index) {
  return intl("DateTimeFormat", { month: "long", timeZone: "UTC" }).format(Date.UTC(2026, index - 1));
}

/** "Nov", "11月" */
export function shortMonth(index) {
  return intl("DateTimeFormat", { month: "short", timeZone: "UTC" }).format(Date.UTC(2026, index - 1));
}

/** "2026", "2026年" */
export function year(value) {
  return intl("DateTimeFormat", { year: "numeric", timeZone: "UTC" }).format(Date.UTC(value, 0));
}

/** The first and the last of several days, which are midnights in UTC: "1–31 Oct 2026" */
export function days(first, last) {
  const format = intl("DateTimeFormat", { dateStyle: "medium", timeZone: "UTC" });
  return format.formatRange(first, last);
}

/** "5 minutes ago", "in 2 days", from now on */
export function ago(at, now) {
  const distance = at - now;
  const [unit, length] = step(Math.abs(distance));
  return intl("RelativeTimeFormat", { numeric: "auto" }).format(Math.trunc(distance / length), unit);
}

/** A duration: "23 min", "45 s", "2 h" */
export function duration(milliseconds) {
  const [unit, length] = step(Math.max(0, milliseconds));
  const options = { style: "unit", unit, unitDisplay: "short" };
  return intl("NumberFormat", options).format(Math.max(0, Math.floor(milliseconds / length)));
}

/** A duration to the second, for what is going on: "45s", "3m 5s", "1h 2m" */
export function elapsed(milliseconds) {
  if (milliseconds < MINUTE) return inUnit(Math.max(0, Math.floor(milliseconds / SECOND)), SECOND);
  if (milliseconds >= 2 * DAY_MS) return duration(milliseconds);
  const [large, small] = milliseconds < HOUR ? [MINUTE, SECOND] : [HOUR, MINUTE];
  const rest = milliseconds % large;
  const whole = milliseconds - rest;
  const parts = [inUnit(whole / large, large), inUnit(Math.floor(rest / small), small)];
  return intl("ListFormat", { style: "narrow", type: "unit" }).format(parts);
}

function inUnit(count, length) {
  const unit = { [SECOND]: "second", [MINUTE]: "minute", [HOUR]: "hour" }[length];
  return intl("NumberFormat", { style: "unit", unit, unitDisplay: "narrow" }).format(count);
}

/** "a, b and c" */
export function list(items) {
  return intl("ListFormat", { type: "conjunction" }).format(items);
}

function step(distance) {
  if (distance < MINUTE) return ["second", SECOND];
  if (distance < HOUR) return ["minute", MINUTE];
  if (distance < 2 * DAY_MS) return ["hour", HOUR];
  return ["day", DAY_MS];
}
