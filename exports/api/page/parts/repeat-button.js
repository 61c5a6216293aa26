import { DAY_MS } from "../lib/days.js";
import { href } from "../lib/route.js";
import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";
import { typeNamed } from "../state/types.js";

const MOST_DAYS = 366;

/** "Every month like this": leads from a finished export to the form of a recurring one, filled in. */
export function RepeatButton({ task }) {
  const type = typeNamed(task.type);
  const period = type && task.status === "done" ? periodLike(type, task.params) : null;
  if (!period) return null;
  const rest = Object.entries(task.params).filter(([name]) => !type.periodParams.includes(name));
  const params = rest.length ? JSON.stringify(Object.fromEntries(rest)) : null;
  const to = href(["recurring"], { new: "yes", type: task.type, period, params, format: task.format });
  const every = period.startsWith("last ") ? "days" : period.replace("previous ", "");
  return html`<a class="button" href=${to}>${t(`repeat.${every}`)}</a>`;
}

/** Return the relative period that an export is like; null if its type has none. */
function periodLike(type, params) {
  const { from, to } = params;
  const period = from && to ? ofDays(new Date(from), new Date(to)) : null;
  if (type.periods.includes(period)) return period;
  const days = Math.round((new Date(to) - new Date(from)) / DAY_MS);
  if (type.periods.includes("last N days") && days > 0) return `last ${Math.min(days, MOST_DAYS)} days`;
  return type.periods.find((one) => !one.includes("N")) ?? null;
}

/** `to` is the first day that is not in it; both are midnight in UTC. */
function ofDays(from, to) {
  const months = (to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth();
  const days = Math.round((to - from) / DAY_MS);
  const first = from.getUTCDate() === 1 && to.getUTCDate() === 1;
  if (first && months === 12 && from.getUTCMonth() === 0) return "previous year";
  if (first && months === 1) return "previous month";
  if (days === 7 && from.getUTCDay() === 1) return "previous week";
  return days === 1 ? "previous day" : null;
}
