// What a form asks for, read from the JSON Schema of a report's parameters.
//
// The values of a form are texts, or lists of texts, as the address has them. "" and [] are nothing.

import { isDay } from "../../lib/days.js";

const MOST_IN_LIST = 100;
const MISSING = { choice: "new.missing.choice", choices: "new.missing.some" };

/**
 * Return what to ask for, in order.
 *
 * Each field has a `kind`, the `names` of its parameters, a `title`, and whether it is `required`.
 * Columns and the format are not among them.
 */
export function fieldsOf(type) {
  const { properties = {}, required = [] } = type.params;
  const has = (name, test) => required.includes(name) && properties[name] && test(properties[name]);
  const isNumber = (schema) => schema.type === "integer";
  const isDate = (schema) => schema.format === "date";
  const fields = [];
  const taken = new Set(columnNames(type).length ? ["columns"] : []);
  const take = (kind, names) => {
    names.forEach((name) => taken.add(name));
    fields.push({ kind, names, title: kind, required: true, schema: properties[names[0]], own: false });
  };
  if (has("year", isNumber)) take(...(has("month", isNumber) ? ["month", ["year", "month"]] : ["year", ["year"]]));
  if (has("from", isDate) && has("to", isDate) && properties.to["x-exclusive"]) take("days", ["from", "to"]);
  for (const [name, schema] of Object.entries(properties)) {
    if (taken.has(name)) continue;
    const found = { ...kindOf(resolved(schema, type.params), type.params), names: [name], own: true };
    fields.push({ ...found, title: schema.title ?? name, required: required.includes(name), hint: schema.description });
  }
  return fields;
}

/** Return the names of the columns that people may choose from; none if they can't. */
export function columnNames(type) {
  return type.params.properties?.columns?.items?.enum ?? [];
}

function kindOf(schema, root) {
  if (schema.enum) return { kind: "choice", schema, choices: schema.enum };
  if (schema.type === "boolean") return { kind: "choice", schema, choices: [true, false] };
  if (schema.type === "array") {
    const item = kindOf(resolved(schema.items ?? {}, root), root);
    if (item.kind === "choice") return { kind: "choices", schema, choices: item.choices };
    if (["text", "date", "number"].includes(item.kind)) return { kind: "list", schema, item };
  }
  if (schema.type === "string") return { kind: schema.format === "date" ? "date" : "text", schema };
  if (["integer", "number"].includes(schema.type)) return { kind: "number", schema };
  const asText = (schema.anyOf ?? []).find(({ type }) => type === "string");
  if (asText && schema.anyOf.every(({ type }) => type === "string" || type === "number")) {
    return { kind: "number", schema: { ...asText, type: "decimal" } };
  }
  return { kind: "json", schema };
}

/** Follow a reference, and leave out that a value may be null: then it is not sent. */
function resolved(schema, root) {
  if (schema.$ref?.startsWith("#/")) {
    const found = schema.$ref.slice(2).split("/").reduce((part, key) => part?.[key], root);
    return resolved({ ...found, ...schema, $ref: undefined }, root);
  }
  const options = (schema.anyOf ?? []).filter(({ type }) => type !== "null");
  return options.length === 1 ? resolved({ ...schema, ...options[0], anyOf: undefined }, root) : schema;
}

/** Return a value as the form has it. */
export function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Whether a field takes several values. */
export function takesMany(field) {
  return field.kind === "choices" || field.kind === "list";
}

/** Return the parameters as the API takes them. The values have been checked. */
export function paramsOf(fields, values) {
  const params = {};
  for (const field of fields) {
    for (const name of field.names) {
      const value = values[name];
      if (value && value.length) params[name] = takesMany(field) ? given(value).map((one) => valueOf(field.item ?? field, one)) : valueOf(field, value);
    }
  }
  return params;
}

function valueOf({ kind, schema, choices }, text) {
  if (choices) return choices.find((one) => asText(one) === text);
  if (kind === "json") return JSON.parse(text);
  const isNumber = kind === "month" || kind === "year" || (kind === "number" && schema.type !== "decimal");
  // A number that JavaScript would round is sent as text.
  if (isNumber) return Number.isInteger(Number(text)) && !Number.isSafeInteger(Number(text)) ? text.trim() : Number(text);
  return kind === "number" ? text.trim() : text;
}

function given(lines) {
  return lines.map((line) => line.trim()).filter(Boolean);
}

/** Return what is wrong with a field: [name of a text, values for it]; null if nothing is. */
export function problemOf(field, values) {
  const found = field.names.map((name) => values[name]);
  if (found.every((value) => !value || !value.length)) return field.required ? [MISSING[field.kind] ?? "new.missing.value"] : null;
  if (takesMany(field)) {
    const lines = given(found[0]);
    const most = field.schema.maxItems ?? MOST_IN_LIST;
    if (lines.length > most) return ["new.wrong.many", { count: most }];
    if (!lines.length && field.required) return ["new.missing.value"];
    return field.item ? lines.map((line) => ofOne(field.item, line)).find(Boolean) ?? null : ofChoices(field, lines);
  }
  if (field.choices) return ofChoices(field, found);
  if (field.kind === "days") return ofDays(found);
  const [first] = field.names.length === 1 ? [ofOne(field, found[0])] : [ofNumber(field.schema, found[0])];
  return first ?? (field.kind === "month" && !/^([1-9]|1[0-2])$/.test(found[1]) ? ["new.missing.month"] : null);
}

function ofChoices({ choices }, found) {
  return found.every((one) => choices.some((choice) => asText(choice) === one)) ? null : ["new.missing.choice"];
}

function ofOne({ kind, schema }, text) {
  if (kind === "number" || kind === "year") return ofNumber(schema, text);
  if (kind === "date") return isDay(text) ? null : ["new.wrong.date"];
  if (kind === "json") return isJson(text) ? null : ["new.wrong.json"];
  const { minLength = 0, maxLength = Infinity, pattern } = schema;
  const length = [...text].length;
  if (length > maxLength) return ["new.wrong.long", { count: maxLength }];
  if (length < minLength) return ["new.wrong.short", { count: minLength }];
  return pattern && !new RegExp(pattern, "u").test(text) ? ["new.wrong.text"] : null;
}

function ofNumber(schema, text) {
  const value = Number(text);
  if (schema.type === "decimal") return new RegExp(schema.pattern, "u").test(text.trim()) ? null : ["new.wrong.number"];
  if (schema.type === "integer" && !/^-?\d+$/.test(text.trim())) return ["new.wrong.integer"];
  if (!text.trim() || !Number.isFinite(value)) return ["new.wrong.number"];
  const [low, high] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum];
  if (value >= (low ?? -Infinity) && value <= (high ?? Infinity)) return null;
  if (low === undefined) return ["new.wrong.high", { most: high }];
  return high === undefined ? ["new.wrong.low", { least: low }] : ["new.wrong.between", { least: `${low}`, most: `${high}` }];
}

function ofDays([from, to]) {
  if (!isDay(from)) return ["new.missing.first"];
  if (!isDay(to)) return ["new.missing.last"];
  return from < to ? null : ["new.wrong.days"];
}

function isJson(text) {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
}
