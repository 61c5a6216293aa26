// Says in words what an export is of.

import { DAY_MS, isDay } from "./days.js";
import { days, list, month, number, year } from "./format.js";
import { has, t } from "./texts.js";

/** Columns that are named, and not only counted. */
const MOST_NAMED = 2;

/**
 * Return the parameters in words: "October 2026", "1 – 31 October 2026 · Region: South".
 *
 * @param {object} params Other systems may have stored anything in them.
 * @param {object} [type] What `GET /types` says of their report, for the titles of parameters.
 */
export function inWords(params, type) {
  const { columns, ...rest } = params;
  const { period, others } = split(rest);
  const names = Array.isArray(columns) ? columns : [];
  const titleOf = (name) => type?.params.properties?.[name]?.title ?? name;
  const titles = Object.fromEntries((type?.columns ?? []).map((column) => [column.name, column.title]));
  return [
    period,
    ...Object.entries(others).map(([name, value]) => t("params.one", { name: titleOf(name), value: said(value) })),
    names.length > MOST_NAMED && t("params.many-columns", { count: names.length }),
    names.length > 0 && names.length <= MOST_NAMED
      && t("params.columns", { names: list(names.map((name) => titles[name] ?? said(name))) }),
  ].filter(Boolean).join(" · ");
}

/** Return only the period in words, or "". */
export function periodInWords(params) {
  return split(params).period;
}

/** Take the period out of parameters. */
function split(params) {
  const { year: y, month: m, from, to, ...others } = params;
  if (isYear(y) && Number.isInteger(m) && m >= 1 && m <= 12 && from === undefined) return { period: month(y, m), others };
  if (isYear(y) && m === undefined && from === undefined) return { period: year(y), others };
  if (y === undefined && m === undefined && isDay(from) && isDay(to)) {
    const [first, end] = [Date.parse(from), Date.parse(to)];
    // `to` is the first day that is not exported.
    if (first < end) return { period: days(first, end - DAY_MS), others };
  }
  return { period: "", others: params };
}

function isYear(value) {
  return Number.isInteger(value) && value > 0 && value < 10_000;
}

function said(value) {
  if (Array.isArray(value)) return list(value.map(said));
  if (typeof value === "number") return number(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return the title of a file format: "CSV", "CSV · gzip". */
export function formatTitle(format) {
  const plain = format.replace(/\.gz$/, "");
  const title = has(`format.${plain}.name`) ? t(`format.${plain}.name`) : plain;
  return plain === format ? title : `${title} · gzip`;
}

/** Return the name of a parameter in the address of the form: it may be the name of something else there. */
export function inAddress(name) {
  return name === "type" || name === "format" ? `params.${name}` : name;
}

/** Return the address of the form with the parameters of an export. */
export function formAddress(task) {
  return `?${formQuery(task)}#/`;
}

/** Return the query of this address. */
export function formQuery({ type, params, format }) {
  const query = new URLSearchParams({ type, format });
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) query.append(inAddress(name), typeof one === "object" ? JSON.stringify(one) : one);
  }
  return query;
}
