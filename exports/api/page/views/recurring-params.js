// The parameters that a period does not say: simple fields from their JSON Schema.

import { t } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { Field, Group } from "../parts/field.js";

/** Fields for the parameters of a type but those that a period says, if it can have one. */
export function OtherParams({ type, values, wrong, onChange }) {
  return named(type).map(([name, schema]) => html`
    <${Param} key=${name} name=${name} schema=${schema} type=${type} value=${values[name]} error=${wrong(name)}
      onChange=${(value) => onChange({ ...values, [name]: value })} />`);
}

/** Return the parameters to send: those that have a value, as the schema wants them. */
export function paramsOf(type, values) {
  const given = named(type).filter(([name]) => values[name] !== undefined && values[name] !== "" && values[name]?.length !== 0);
  return Object.fromEntries(given.map(([name, schema]) => [name, isNumber(schema) ? Number(values[name]) : values[name]]));
}

function named(type) {
  return Object.entries(type.params.properties ?? {}).filter(([name]) => !type.periodParams.includes(name));
}

function Param({ name, schema, type, value, error, onChange }) {
  const needed = type.params.required?.includes(name);
  const common = { label: name === "columns" ? t("form.columns") : schema.title ?? name, note: needed ? null : t("optional"), error };
  if (schema.type === "array" && schema.items?.enum) {
    const titles = Object.fromEntries(type.columns.map((column) => [column.name, column.title]));
    const chosen = value ?? [];
    const toggle = (one) => (event) => onChange(event.target.checked ? [...chosen, one] : chosen.filter((other) => other !== one));
    return html`
      <${Group} legend=${common.label} note=${common.note} error=${error} hint=${needed ? null : t("form.all-of-them")}>
        <div class="checks">
          ${schema.items.enum.map((one) => html`
            <label class="check" key=${one}><input type="checkbox" checked=${chosen.includes(one)} onChange=${toggle(one)} />${titles[one] ?? one}</label>`)}
        </div>
      <//>`;
  }
  if (schema.enum) {
    return html`
      <${Field} ...${common}>
        ${(control) => html`
          <select ...${control} value=${value ?? ""} onChange=${(event) => onChange(event.target.value)}>
            <option value="">${t("nothing")}</option>
            ${schema.enum.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
          </select>`}
      <//>`;
  }
  const kind = isNumber(schema) ? "number" : schema.format === "date" ? "date" : "text";
  return html`
    <${Field} ...${common} hint=${schema.description}>
      ${(control) => html`<input ...${control} type=${kind} value=${value ?? ""} onInput=${(event) => onChange(event.target.value)} />`}
    <//>`;
}

function isNumber({ type }) {
  return type === "integer" || type === "number";
}
