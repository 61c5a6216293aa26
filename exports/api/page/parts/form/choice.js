// What has been chosen in a form: where it starts, and what is remembered of it.

import { isDay, newest, today } from "../../lib/days.js";
import { keep, kept } from "../../lib/kept.js";
import { inAddress } from "../../lib/params.js";
import { me } from "../../state/session.js";
import { asText, columnNames, fieldsOf, paramsOf, problemOf, takesMany } from "./fields.js";

/** The formats, as they are offered; others come after them. */
const ORDER = ["csv", "xlsx", "ndjson", "parquet"];

/**
 * Return a choice to start with.
 *
 * @param {object} type As `GET /types` says it.
 * @param {URLSearchParams} query Of an address; what is not in it is as sensible as can be.
 */
export function choiceOf(type, query) {
  const day = today(type.timezone);
  const values = {};
  for (const field of fieldsOf(type)) {
    const given = field.names.map((name) => query.getAll(inAddress(name)));
    const asked = given.some((found) => found.length);
    field.names.forEach((name, index) => {
      const value = takesMany(field) ? given[index] : given[index].at(-1) ?? "";
      values[name] = ["date", "days"].includes(field.kind) && !isDay(value) ? "" : value;
    });
    if (!asked) Object.assign(values, newest(field, day) ?? usual(field));
  }
  return { values, columns: columnsOf(type, query.getAll("columns")), format: formatOf(type, query.get("format")) };
}

function usual(field) {
  const { schema: { default: value }, choices, required, names: [name] } = field;
  if (value !== undefined && value !== null) return { [name]: takesMany(field) ? value.map(asText) : asText(value) };
  if (field.kind === "choice" && required && choices.length === 1) return { [name]: asText(choices[0]) };
  return {};
}

/** Return all columns: those that are wanted first, in their order. */
function columnsOf(type, given) {
  const all = columnNames(type);
  const isKnown = (name) => all.includes(name);
  const split = given.every(isKnown) ? given : given.flatMap((text) => text.split(","));
  const wanted = [...new Set(split.filter(isKnown))];
  if (!wanted.length) return allColumns(type);
  const rest = all.filter((name) => !wanted.includes(name));
  return [...wanted.map((name) => ({ name, on: true })), ...rest.map((name) => ({ name, on: false }))];
}

/** Return all columns, in the order of the report. */
export function allColumns(type) {
  return columnNames(type).map((name) => ({ name, on: true }));
}

/** Whether columns are all of a report's, in its order. */
export function areAll(type, columns) {
  return columns.every(({ name, on }, index) => on && name === columnNames(type)[index]);
}

/** Return the formats of a type that are no compressed ones of others. */
export function plainFormats(type) {
  const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return type.formats.filter((name) => !type.formats.includes(name.replace(/\.gz$/, "")) || !name.endsWith(".gz"))
    .sort((one, other) => rank(one) - rank(other));
}

function formatOf(type, wanted) {
  return type.formats.includes(wanted) ? wanted : plainFormats(type)[0];
}

/** Return what is wrong with a choice, by the names of fields: [name of a text, values for it]. */
export function problemsOf(fields, choice) {
  const found = {};
  for (const field of fields) {
    const problem = problemOf(field, choice.values);
    if (problem) found[field.names[0]] = problem;
  }
  if (choice.columns.length && !choice.columns.some(({ on }) => on)) found.columns = ["new.missing.columns"];
  return found;
}

/** Return the request that a choice stands for, which has nothing wrong. */
export function requestOf(type, fields, { values, columns, format }) {
  const wanted = areAll(type, columns) ? {} : { columns: columns.filter(({ on }) => on).map(({ name }) => name) };
  return { type: type.type, params: paramsOf(fields, values), format, ...wanted };
}

/** Return a choice as the query of an address. */
export function queryOf(type, { values, columns, format }) {
  const query = new URLSearchParams({ type: type.type });
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) if (one) query.append(inAddress(name), one);
  }
  query.set("format", format);
  if (!areAll(type, columns)) {
    const names = columns.filter(({ on }) => on).map(({ name }) => name);
    // A comma separates names, unless one has a comma itself.
    if (names.some((name) => name.includes(","))) names.forEach((name) => query.append("columns", name));
    else if (names.length) query.set("columns", names.join(","));
  }
  return query;
}

/** Return the type that was chosen last, by this person in this browser. */
export function lastType() {
  return kept(`new.${me.value.uid}`);
}

/** Return what was chosen last of a type. Of another day, without its period: a newer one may be over. */
export function lastQuery(type) {
  const last = kept(`new.${me.value.uid}.${type.type}`);
  const query = new URLSearchParams(last?.query);
  if (last?.day !== today(type.timezone)) {
    const periods = fieldsOf(type).filter(({ own }) => !own);
    periods.flatMap(({ names }) => names).forEach((name) => query.delete(name));
  }
  return query;
}

export function remember(type, query) {
  keep(`new.${me.value.uid}`, type.type);
  keep(`new.${me.value.uid}.${type.type}`, { query: `${query}`, day: today(type.timezone) });
}
