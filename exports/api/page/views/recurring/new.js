import { call, newKey } from "../../lib/api.js";
import { today } from "../../lib/days.js";
import { moment } from "../../lib/format.js";
import { go, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { relativeInWords, whenInWords } from "../../lib/when.js";
import { Dialog } from "../../parts/dialog.js";
import { Field, Group } from "../../parts/field.js";
import { problemsOf } from "../../parts/form/choice.js";
import { Columns } from "../../parts/form/columns.js";
import { Control } from "../../parts/form/controls.js";
import { Format } from "../../parts/form/format.js";
import { refusedFields } from "../../parts/form/refused.js";
import { ErrorNotice, Skeleton } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useAnswer, useDoing } from "../../state/answer.js";
import { loadTypes, types } from "../../state/types.js";
import { bodyOf, DAYS, everyOf, fieldsBut, filledIn, startOf, typeOr } from "./form.js";
import { When } from "./when.js";
import { madeName } from "./words.js";

/** What can be wrong with what the form has for every report. */
const AT_FIELDS = ["type", "period", "on", "at", "cron", "timezone", "format", "columns", "name", "notify"];

/** The form of a new recurring export, above the list. The address may fill it in. */
export function RecurringNew({ onClose }) {
  const found = useAnswer(loadTypes);
  return html`
    <${Dialog} title=${t("recurring.new")} onClose=${onClose}>
      ${found.error && html`<${ErrorNotice} error=${found.error} />`}
      ${!types.value && !found.error && html`<${Skeleton} lines=${12} />`}
      ${types.value?.length === 0 && html`<p>${t("form.no-types")}</p>`}
      ${types.value?.length > 0 && html`<${Form} onClose=${onClose} />`}
    <//>`;
}

function Form({ onClose }) {
  const [form, setForm] = useState(() => filledIn(route.peek().query));
  const [tries, setTries] = useState(0);
  const sent = useRef({});
  const element = useRef(null);
  const doing = useDoing();
  const set = (change) => setForm((before) => ({ ...before, ...change }));
  const setChoice = (change) => setForm((before) => ({ ...before, choice: { ...before.choice, ...change } }));
  const type = typeOr(form.type);
  const fields = fieldsBut(type, form.period);
  const problems = problemsOf(fields, form.choice);
  const isRight = Object.keys(problems).length === 0;
  const body = isRight ? bodyOf(form, type, fields) : null;
  const refused = refusedFields(doing.error, fields, AT_FIELDS);
  const wrong = (name) => (problems[name] ? tries > 0 && t(...problems[name]) : refused[name]) || null;
  useEffect(() => {
    if (tries) element.current.querySelector('[aria-invalid="true"], .wrong :is(input, select, textarea)')?.focus();
  }, [tries, doing.error]);
  const submit = (event) => {
    event.preventDefault();
    setTries(tries + 1);
    if (!isRight) return;
    doing.run(async () => {
      // The same request has the same key: to send it twice makes one.
      const text = JSON.stringify(body);
      if (sent.current.text !== text) sent.current = { text, key: newKey() };
      const made = await call("POST", "/recurring", { body, key: sent.current.key });
      const [next] = made.nextRuns;
      if (next) toast(t("form.created", { time: moment(next, made.when.timezone) }));
      go(["recurring", made.id], {}, { replace: true });
    });
  };
  return html`
    <form class="recurring-form" ref=${element} onSubmit=${submit} noValidate>
      <${Field} label=${t("form.report")} error=${wrong("type")}>
        ${(control) => html`
          <select ...${control} data-focus value=${form.type} onChange=${(event) => set(startOf(typeOr(event.target.value)))}>
            ${types.value.map((one) => html`<option key=${one.type} value=${one.type}>${one.title}</option>`)}
          </select>`}
      <//>
      ${type.periods.length > 0 && html`<${Period} form=${form} type=${type} set=${set} error=${wrong("period")} />`}
      ${fields.map((field) => html`
        <${Control} key=${`${type.type} ${field.names[0]}`} field=${field} values=${form.choice.values} error=${wrong(field.names[0])}
          set=${(values) => setChoice({ values: { ...form.choice.values, ...values } })} left=${() => {}} today=${today(type.timezone)} />`)}
      <${When} form=${form} set=${set} wrong=${wrong} />
      <p class="preview" role="status">${body && preview(body)}</p>
      <${Format} type=${type} format=${form.choice.format} set=${(format) => setChoice({ format })} error=${wrong("format")} />
      ${form.choice.columns.length > 0 && html`
        <${Columns} key=${type.type} type=${type} columns=${form.choice.columns} set=${(columns) => setChoice({ columns })} error=${wrong("columns")} />`}
      <${Field} label=${t("form.name")} note=${t("optional")} error=${wrong("name")}>
        ${(control) => html`
          <input ...${control} maxlength="100" autocomplete="off" value=${form.name} onInput=${(event) => set({ name: event.target.value })}
            placeholder=${body ? madeName(form.type, body.period) : ""} />`}
      <//>
      <${Told} form=${form} set=${set} error=${wrong("notify")} />
      ${doing.error && !Object.keys(refused).length && html`<${ErrorNotice} error=${doing.error} />`}
      <div class="actions">
        <button class="primary" aria-disabled=${doing.busy}>${t("form.create")}</button>
        <button type="button" onClick=${onClose}>${t("cancel")}</button>
      </div>
    </form>`;
}

function Period({ form, type, set, error }) {
  return html`
    <div class="row">
      <${Field} label=${t("form.period")} error=${form.period === DAYS ? null : error}>
        ${(control) => html`
          <select ...${control} value=${form.period} onChange=${(event) => set({ period: event.target.value, every: everyOf(event.target.value) })}>
            ${type.periods.map((one) => html`<option key=${one} value=${one}>${one === DAYS ? t("period.n-days") : relativeInWords(one)}</option>`)}
          </select>`}
      <//>
      ${form.period === DAYS && html`
        <${Field} label=${t("form.days")} hint=${t("form.days-hint")} error=${error}>
          ${(control) => html`<input ...${control} type="number" min="1" max="366" value=${form.days} onInput=${(event) => set({ days: event.target.value })} />`}
        <//>`}
    </div>`;
}

function Told({ form, set, error }) {
  const { data } = useAnswer((signal) => call("GET", "/me/notify", { signal }));
  const standard = form.notify === null;
  const toggle = (name) => (event) => set({
    notify: event.target.checked ? [...form.notify, name] : form.notify.filter((one) => one !== name),
  });
  return html`
    <${Group} legend=${t("form.told")} error=${error} hint=${standard ? null : t("form.told-hint")}>
      <label class="check">
        <input type="checkbox" checked=${standard} onChange=${() => set({ notify: standard ? (data?.notify ?? []) : null })} />
        ${t("form.told-default")}
      </label>
      ${!standard && data?.available.map((name) => html`
        <label class="check" key=${name}>
          <input type="checkbox" checked=${form.notify.includes(name)} onChange=${toggle(name)} />${t(`channel.${name}`)}
        </label>`)}
    <//>`;
}

/** When exports are made, and of what, in a sentence. */
function preview({ period, timezone, ...when }) {
  const days = /^last (\d+) days$/.exec(period ?? "");
  const what = days ? t("of.days", { count: Number(days[1]) }) : t(`of.${period?.replace("previous ", "") ?? "none"}`);
  return t("form.preview", { when: whenInWords(when), zone: timezone, what });
}
