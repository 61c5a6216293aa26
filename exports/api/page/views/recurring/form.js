// What the form of a recurring export has: where it starts, and what it sends.

import { formQuery } from "../../lib/params.js";
import { onOf } from "../../lib/when.js";
import { choiceOf, requestOf } from "../../parts/form/choice.js";
import { fieldsOf } from "../../parts/form/fields.js";
import { types } from "../../state/types.js";

export const DAYS = "last N days";
/** When exports of a period are due, unless one says something else: when it has just ended. */
const DUE = { "previous day": "day", "previous week": "week", [DAYS]: "week", "previous month": "month", "previous year": "year" };

/** Return how often exports of a period are due, unless one says something else. */
export function everyOf(period) {
  return DUE[period] ?? "month";
}

/** Return the type of this name; the first one, if there is none. */
export function typeOr(name) {
  return types.value.find(({ type }) => type === name) ?? types.value[0];
}

/** Return the fields of the parameters that the period does not say. */
export function fieldsBut(type, period) {
  return fieldsOf(type).filter(({ names }) => !period || !names.some((name) => type.periodParams.includes(name)));
}

/** Return what the form says of a type before anybody has changed it. */
export function startOf(type, query = new URLSearchParams()) {
  const period = type.periods.find((one) => one === "previous month") ?? type.periods[0] ?? "";
  return { type: type.type, period, every: everyOf(period), timezone: type.timezone, choice: choiceOf(type, query) };
}

/** Return what the form starts with: an address may fill it in. */
export function filledIn(query) {
  const given = Object.fromEntries(query);
  const type = typeOr(given.type);
  const params = readParams(given.params);
  const like = formQuery({ type: type.type, params, format: given.format ?? "xlsx" });
  const start = startOf(type, like);
  const days = /^last (\d+) days$/.exec(given.period ?? "")?.[1];
  const period = days ? DAYS : given.period;
  return {
    ...start, ...(type.periods.includes(period) ? { period, every: everyOf(period) } : {}), days: days ?? "7",
    weekday: "1", day: "1", month: "1", at: "08:00", cron: "0 8 1 * *", name: "", notify: null,
  };
}

function readParams(text) {
  try {
    return JSON.parse(text ?? "{}") ?? {};
  } catch {
    return {}; // Somebody has changed the address.
  }
}

/** Return what is sent. */
export function bodyOf(form, type, fields) {
  const { every, weekday, day, month } = form;
  const when = every === "cron"
    ? { cron: form.cron.trim() }
    : { on: onOf({ every, weekday: Number(weekday), day: Number(day), month: Number(month) }), at: form.at };
  const { params, format, columns } = requestOf(type, fields, form.choice);
  return {
    type: form.type,
    params: columns ? { ...params, columns } : params,
    period: (form.period === DAYS ? `last ${Number(form.days)} days` : form.period) || null,
    ...when,
    timezone: form.timezone.trim(),
    format,
    name: form.name.trim() || null,
    notify: form.notify,
  };
}
