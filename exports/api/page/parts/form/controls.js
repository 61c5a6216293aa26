// A control for each kind of field: see `fieldsOf`.

import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { Field, Group } from "../field.js";
import { asText } from "./fields.js";
import { Days, Month, Year } from "./period.js";

const LINES = 3;

/**
 * A field of a form.
 *
 * `set` takes new values by name; `left` is called when one leaves the field; `error` is a text.
 */
export function Control({ field, values, set, left, error, today, zone }) {
  const { kind, names: [name], title, required, schema } = field;
  if (kind === "month") return html`<${Month} ...${{ values, set, error, schema, today }} hint=${zone} />`;
  if (kind === "year") return html`<${Year} ...${{ values, set, error, schema, today }} hint=${zone} />`;
  if (kind === "days") return html`<${Days} names=${field.names} ...${{ values, set, error, today }} hint=${zone} />`;
  const label = { note: t(required ? "required" : "optional"), error };
  const change = (value) => set({ [name]: value });
  if (kind === "choices") return html`<${Choices} field=${field} label=${label} chosen=${values[name]} change=${change} />`;
  return html`
    <${Field} label=${title} ...${label} hint=${hintOf(field)}>
      ${(control) => {
        const all = { ...control, required, onChange: left, value: values[name], onInput: (event) => change(event.target.value) };
        if (kind === "choice") return html`<${Choice} field=${field} all=${all} />`;
        if (kind === "date") return html`<input ...${all} type="date" min="1970-01-01" max="9999-12-31" />`;
        if (kind === "list") {
          const value = values[name].join("\n");
          return html`<textarea ...${all} rows=${LINES} value=${value} onInput=${(event) => change(split(event.target.value))}></textarea>`;
        }
        if (kind === "json") return html`<textarea ...${all} class="code" rows=${LINES} spellcheck=${false}></textarea>`;
        const mode = kind === "number" ? (schema.type === "integer" ? "numeric" : "decimal") : "text";
        // A minus sign is not on the numeric keypad of every phone.
        return html`<input ...${all} type="text" inputmode=${canBeNegative(field) ? "text" : mode} autocomplete="off" />`;
      }}
    <//>`;
}

function split(text) {
  return text === "" ? [] : text.split("\n");
}

function canBeNegative({ kind, schema }) {
  return kind === "number" && (schema.type === "decimal" || (schema.minimum ?? schema.exclusiveMinimum ?? -1) < 0);
}

function Choice({ field: { choices, required }, all }) {
  const empty = t(required ? "new.choose" : "new.any");
  const { onChange, onInput, ...rest } = all;
  return html`
    <select ...${rest} onChange=${(event) => { onInput(event); onChange(); }}>
      ${(!required || all.value === "" || choices.length > 1) && html`<option value="">${empty}</option>`}
      ${choices.map((choice) => html`<option key=${asText(choice)} value=${asText(choice)}>${shown(choice)}</option>`)}
    </select>`;
}

function Choices({ field: { title, choices, required }, label, chosen, change }) {
  const toggle = (value) => change(chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value]);
  return html`
    <${Group} legend=${title} ...${label} hint=${required ? t("new.choose-some") : t("new.choose-none")}>
      <div class="checks">
        ${choices.map((choice) => {
          const value = asText(choice);
          return html`
            <label key=${value} class="check">
              <input type="checkbox" checked=${chosen.includes(value)} onChange=${() => toggle(value)} /><span>${shown(choice)}</span>
            </label>`;
        })}
      </div>
    <//>`;
}

function shown(choice) {
  return typeof choice === "boolean" ? t(choice ? "new.yes" : "new.no") : asText(choice);
}

function hintOf({ kind, schema, hint, item }) {
  if (kind === "list") return [t("new.one-a-line"), item.kind === "date" && t("new.date-form")].filter(Boolean).join(" ");
  if (kind === "number" && Number.isSafeInteger(schema.minimum) && Number.isSafeInteger(schema.maximum)) {
    return t("new.between", { least: schema.minimum, most: schema.maximum });
  }
  if (kind === "json") return [hint, t("new.json")].filter(Boolean).join(". ");
  return kind === "text" || kind === "number" ? hint || undefined : undefined;
}
