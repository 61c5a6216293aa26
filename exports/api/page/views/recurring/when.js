import { dayOfYear, monthName, weekdayName } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html, useId, useMemo } from "../../lib/ui.js";
import { daysOf } from "../../lib/when.js";
import { timeZones } from "../../lib/zones.js";
import { Field } from "../../parts/field.js";

const EVERY = ["day", "week", "month", "year", "cron"];
const EVERY_MONTHS_DAYS = 28; // each month has them

/** The part of the form that says when: on days at a time, or by a cron expression, and in which time zone. */
export function When({ form, set, wrong }) {
  const id = useId();
  const zones = useMemo(timeZones, []);
  const { every } = form;
  const change = (name) => (event) => set({ [name]: event.target.value });
  const select = (name, values) => (control) => html`
    <select ...${control} value=${form[name]} onChange=${change(name)}>
      ${values.map(([value, text]) => html`<option key=${value} value=${String(value)}>${text}</option>`)}
    </select>`;
  const numbers = (count, text = String) => Array.from({ length: count }, (_, index) => [index + 1, text(index + 1)]);
  const days = every === "year"
    ? numbers(daysOf(Number(form.month)), (number) => dayOfYear(Number(form.month), number))
    : numbers(EVERY_MONTHS_DAYS, (number) => t("form.day-of-month", { number: String(number) }));
  return html`
    <div class="row when">
      <${Field} label=${t("form.every")}>${select("every", EVERY.map((one) => [one, t(`form.every-${one}`)]))}<//>
      ${every === "week" && html`<${Field} label=${t("form.weekday")} error=${wrong("on")}>${select("weekday", numbers(7, weekdayName))}<//>`}
      ${every === "year" && html`
        <${Field} label=${t("form.month")}>
          ${(control) => html`
            <select ...${control} value=${form.month}
              onChange=${(event) => set({ month: event.target.value, day: String(Math.min(form.day, daysOf(Number(event.target.value)))) })}>
              ${numbers(12, monthName).map(([value, text]) => html`<option key=${value} value=${String(value)}>${text}</option>`)}
            </select>`}
        <//>`}
      ${(every === "month" || every === "year") && html`<${Field} label=${t("form.day")} error=${wrong("on")}>${select("day", days)}<//>`}
      ${every !== "cron" && html`
        <${Field} label=${t("form.at")} error=${wrong("at")}>
          ${(control) => html`<input ...${control} type="time" required value=${form.at} onInput=${change("at")} />`}
        <//>`}
      <${Field} label=${t("form.zone")} error=${wrong("timezone")}>
        ${(control) => html`
          <input ...${control} list=${id} autocomplete="off" spellcheck=${false} value=${form.timezone} onInput=${change("timezone")} />
          <datalist id=${id}>${zones.map((zone) => html`<option key=${zone} value=${zone} />`)}</datalist>`}
      <//>
    </div>
    ${every === "cron" && html`
      <${Field} label=${t("form.cron")} hint=${t("form.cron-hint")} error=${wrong("cron")}>
        ${(control) => html`<input ...${control} class="code" spellcheck=${false} autocomplete="off" value=${form.cron} onInput=${change("cron")} />`}
      <//>`}`;
}
