// Controls for the period of an export.

import { DAY_MS, plus, PRESETS } from "../../lib/days.js";
import { days, month as monthSaid, shortMonth, year as yearSaid } from "../../lib/format.js";
import { language, t } from "../../lib/texts.js";
import { html, useId } from "../../lib/ui.js";
import { Group } from "../field.js";

const MONTHS = Array.from({ length: 12 }, (_, index) => index + 1);

/** A year and a month. `set` takes new values, `today` is the present day. */
export function Month({ values, set, error, schema, today, hint }) {
  const id = useId();
  const chosen = Number(values.month);
  const [year, month] = today.split("-").map(Number);
  const isLater = (index) => Number(values.year) * 12 + index > year * 12 + month;
  return html`
    <${Group} legend=${t("new.month")} error=${error} hint=${hint}>
      <${YearStep} values=${values} set=${set} wrong=${Boolean(error)} schema=${schema} />
      <div class="months">
        ${MONTHS.map((index) => html`
          <label key=${index} class="choice ${isLater(index) ? "later" : ""}">
            <input type="radio" class="unseen" name=${id} value=${index} checked=${index === chosen}
              onChange=${() => set({ month: `${index}` })} />${shortMonth(index)}
          </label>`)}
      </div>
    <//>`;
}

/** A year. */
export function Year({ values, set, error, schema, today, hint }) {
  const present = Number(today.slice(0, 4));
  return html`
    <${Group} legend=${t("new.year")} error=${error} hint=${hint}>
      <${YearStep} values=${values} set=${set} wrong=${Boolean(error)} schema=${schema} />
      <div class="actions">
        <${Preset} name="last-year" on=${values.year === `${present - 1}`} choose=${() => set({ year: `${present - 1}` })} />
        <${Preset} name="this-year" on=${values.year === `${present}`} choose=${() => set({ year: `${present}` })} />
      </div>
    <//>`;
}

function YearStep({ values, set, wrong, schema }) {
  const step = (by) => set({ year: `${(Number(values.year) || 0) + by}` });
  return html`
    <div class="year-step">
      <button type="button" aria-label=${t("new.year-before")} onClick=${() => step(-1)}>‹</button>
      <input type="text" inputmode="numeric" autocomplete="off" maxlength="4" aria-label=${t("new.year")} aria-invalid=${wrong || undefined}
        value=${values.year} onInput=${(event) => set({ year: event.target.value.trim() })}
        onKeyDown=${(event) => { const by = { ArrowUp: 1, ArrowDown: -1 }[event.key]; if (by) { event.preventDefault(); step(by); } }} />
      <button type="button" aria-label=${t("new.year-after")} disabled=${Number(values.year) >= (schema.maximum ?? 9999)} onClick=${() => step(1)}>›</button>
    </div>`;
}

function Preset({ name, on, choose }) {
  return html`<button type="button" class="small preset" aria-pressed=${on} onClick=${choose}>${t(`new.preset.${name}`)}</button>`;
}

/** The first and the last day. The API takes the day after the last one. */
export function Days({ names: [first, end], values, set, error, today, hint }) {
  const id = useId();
  const { [first]: from, [end]: to } = values;
  const count = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
  const choose = ([one, other]) => set({ [first]: one, [end]: other });
  return html`
    <${Group} legend=${t("new.days")} error=${error} hint=${hint}>
      <div class="actions presets">
        ${Object.entries(PRESETS).map(([name, of]) => {
          const found = of(today);
          return html`<${Preset} key=${name} name=${name} on=${found[0] === from && found[1] === to} choose=${() => choose(found)} />`;
        })}
      </div>
      <div class="row">
        <div class="field">
          <label for="${id}-first">${t("new.first-day")}</label>
          <input id="${id}-first" type="date" lang=${language.value} required min="1970-01-01" max="9998-12-31" value=${from} aria-invalid=${error ? "true" : undefined}
            onInput=${(event) => set({ [first]: event.target.value })} />
        </div>
        <div class="field">
          <label for="${id}-last">${t("new.last-day")}</label>
          <input id="${id}-last" type="date" lang=${language.value} required min="1970-01-01" max="9998-12-31" value=${plus(to, -1)} aria-invalid=${error ? "true" : undefined}
            onInput=${(event) => set({ [end]: plus(event.target.value, 1) })} />
        </div>
      </div>
      ${count > 0 && html`<p class="soft said">${t("new.days-said", { count, days: days(Date.parse(from), Date.parse(plus(to, -1))) })}</p>`}
    <//>`;
}

/** Return the period of a form in words, or null if it has none: "October 2026" */
export function periodSaid({ kind, names }, values) {
  if (kind === "month") return monthSaid(Number(values.year), Number(values.month));
  if (kind === "year") return yearSaid(Number(values.year));
  if (kind === "days") return days(Date.parse(values[names[0]]), Date.parse(plus(values[names[1]], -1)));
  return null;
}

/** Return where the days of a report begin, if that is not where the person is. */
export function zoneSaid(timeZone) {
  if (timeZone === new Intl.DateTimeFormat().resolvedOptions().timeZone) return null;
  const parts = new Intl.DateTimeFormat(language.value, { timeZone, timeZoneName: "long" }).formatToParts();
  return t("new.zone", { zone: parts.find(({ type }) => type === "timeZoneName").value });
}
