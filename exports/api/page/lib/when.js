// When a recurring export is due, in words, and what the API takes.

import { clockTime, dayOfYear, weekdayName } from "./format.js";
import { language, t } from "./texts.js";

// As the API names them.
const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
export const MONTHS = [
  "january", "february", "march", "april", "may", "june",
  "july", "august", "september", "october", "november", "december",
];

/** Return in words when it is due: "on the 1st of each month at 08:00". Without the time zone. */
export function whenInWords({ on, at: time, cron }) {
  if (cron !== undefined && cron !== null) return t("when.cron", { cron });
  const at = /^\d\d:\d\d$/.test(time) ? clockTime(Date.parse(`2024-01-01T${time}Z`), "UTC") : "";
  if (on === "day") return t("when.day", { at });
  const weekday = WEEKDAYS.indexOf(on) + 1;
  if (weekday) return t("when.week", { day: weekdayName(weekday), at });
  const [nth, month] = on.split(" ");
  const number = Number.parseInt(nth, 10);
  if (month) return t("when.year", { day: dayOfYear(MONTHS.indexOf(month) + 1, number), at });
  return t("when.month", { day: language.value === "en" ? nth : number, at });
}

/** Return the `on` of a day: each day, a weekday, a day of each month, or of a year. */
export function onOf({ every, weekday, day, month }) {
  if (every === "day") return "day";
  if (every === "week") return WEEKDAYS[weekday - 1];
  return every === "month" ? ordinal(day) : `${ordinal(day)} ${MONTHS[month - 1]}`;
}

/** Return how many days a month has in every year. */
export function daysOf(month) {
  return new Date(Date.UTC(2026, month, 0)).getUTCDate();
}

/** Return a relative period in words: "Previous month", "Last 7 days". */
export function relativeInWords(period) {
  const days = /^last (\d+) days$/.exec(period ?? "");
  if (days) return t("period.days", { count: Number(days[1]) });
  return t(period ? `period.${period.replace("previous ", "")}` : "period.none");
}

function ordinal(day) {
  const ends = { 1: "st", 2: "nd", 3: "rd" };
  return `${day}${day > 10 && day < 14 ? "th" : (ends[day % 10] ?? "th")}`;
}
