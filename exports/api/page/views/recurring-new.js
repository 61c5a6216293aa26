import { call } from "../lib/api.js";
import { moment } from "../lib/format.js";
import { go, route } from "../lib/route.js";
import { language, t } from "../lib/texts.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { onOf, relativeInWords, whenInWords } from "../lib/when.js";
import { Dialog } from "../parts/dialog.js";
import { Field, Group } from "../parts/field.js";
import { ErrorNotice, Skeleton } from "../parts/notice.js";
import { toast } from "../parts/toast.js";
import { useAnswer, useDoing } from "../state/answer.js";
import { loadTypes, types } from "../state/types.js";
import { OtherParams, paramsOf } from "./recurring-params.js";
import { madeName } from "./recurring-words.js";
import { When } from "./recurring-when.js";

const DAYS = "last N days";
/** When exports of a period are due, unless one says something else: when it has just ended. */
const DUE = { "previous day": "day", "previous week": "week", [DAYS]: "week", "previous month": "month", "previous year": "year" };

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
  const [form, setForm] = useState(filledIn);
  const sent = useRef({});
  const doing = useDoing();
  const set = (change) => setForm((before) => ({ ...before, ...change }));
  const type = types.value.find((one) => one.type === form.type);
  const body = bodyOf(form, type);
  const submit = (event) => {
    event.preventDefault();
    doing.run(async () => {
      // The same request has the same key: to send it twice makes one.
      const text = JSON.stringify(body);
      if (sent.current.text !== text) sent.current = { text, key: crypto.randomUUID() };
      const made = await call("POST", "/recurring", { body, key: sent.current.key });
      const [next] = made.nextRuns;
      if (next) toast(t("form.created", { time: moment(next, made.when.timezone) }));
      go(["recurring", made.id], {}, { replace: true });
    });
  };
  const element = useRef(null);
  useEffect(() => {
    if (doing.error) element.current.querySelector('[aria-invalid="true"], .wrong input')?.focus();
  }, [doing.error]);
  const fields = doing.error?.fields ?? {};
  const wrong = (name) => (name in fields ? inWords(name, fields[name]) : null);
  const select = (name, values) => (control) => html`
    <select ...${control} value=${form[name]} onChange=${(event) => set({ [name]: event.target.value })}>
      ${values.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
    </select>`;
  return html`
    <form ref=${element} onSubmit=${submit} noValidate>
      <${Field} label=${t("form.report")} error=${wrong("type")}>
        ${(control) => html`
          <select ...${control} value=${form.type} data-focus onChange=${(event) => set(startOf(named(event.target.value)))}>
            ${types.value.map((one) => html`<option key=${one.type} value=${one.type}>${one.title}</option>`)}
          </select>`}
      <//>
      ${type.periods.length > 0 && html`
        <div class="row">
          <${Field} label=${t("form.period")} error=${form.period === DAYS ? null : wrong("period")}>
            ${(control) => html`
              <select ...${control} value=${form.period} onChange=${(event) => set({ period: event.target.value, every: DUE[event.target.value] })}>
                ${type.periods.map((one) => html`<option key=${one} value=${one}>${one === DAYS ? t("period.n-days") : relativeInWords(one)}</option>`)}
              </select>`}
          <//>
          ${form.period === DAYS && html`
            <${Field} label=${t("form.days")} hint=${t("form.days-hint")} error=${wrong("period")}>
              ${(control) => html`<input ...${control} type="number" min="1" max="366" value=${form.days} onInput=${(event) => set({ days: event.target.value })} />`}
            <//>`}
        </div>`}
      <${When} form=${form} set=${set} wrong=${wrong} />
      <p class="preview" role="status">${preview(body)}</p>
      <div class="row">
        <${Field} label=${t("form.format")} error=${wrong("format")}>${select("format", type.formats.map((one) => [one, one]))}<//>
        <${Field} label=${t("form.name")} note=${t("optional")} error=${wrong("name")}>
          ${(control) => html`
            <input ...${control} maxlength="100" autocomplete="off" value=${form.name} onInput=${(event) => set({ name: event.target.value })}
              placeholder=${madeName(form.type, body.period)} />`}
        <//>
      </div>
      <${OtherParams} key=${form.type} type=${type} values=${form.params} wrong=${wrong} onChange=${(params) => set({ params })} />
      <${Told} form=${form} set=${set} error=${wrong("notify")} />
      ${doing.error && !isShown(fields, type) && html`<${ErrorNotice} error=${doing.error} />`}
      <div class="actions">
        <button class="primary" aria-disabled=${doing.busy}>${t("form.create")}</button>
        <button type="button" onClick=${onClose}>${t("cancel")}</button>
      </div>
    </form>`;
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

function named(name) {
  return types.value.find(({ type }) => type === name) ?? types.value[0];
}

/** What the form says of a type before anybody has changed it. */
function startOf(type) {
  const period = type.periods.find((one) => one === "previous month") ?? type.periods[0] ?? "";
  const format = type.formats.includes("xlsx") ? "xlsx" : type.formats[0];
  return { type: type.type, period, every: DUE[period] ?? "month", params: {}, timezone: type.timezone, format };
}

function filledIn() {
  const given = Object.fromEntries(route.peek().query);
  const start = startOf(named(given.type));
  const days = /^last (\d+) days$/.exec(given.period ?? "")?.[1];
  const period = days ? DAYS : (given.period ?? start.period);
  return {
    ...start, period, every: DUE[period] ?? start.every, days: days ?? "7", format: given.format ?? start.format,
    params: readParams(given.params), weekday: "1", day: "1", month: "1", at: "08:00", cron: "0 8 1 * *", name: "", notify: null,
  };
}

function readParams(text) {
  try {
    return JSON.parse(text ?? "{}") ?? {};
  } catch {
    return {}; // Somebody has changed the address.
  }
}

function bodyOf(form, type) {
  const when = form.every === "cron"
    ? { cron: form.cron.trim() }
    : { on: onOf({ every: form.every, weekday: Number(form.weekday), day: Number(form.day), month: Number(form.month) }), at: form.at };
  const period = form.period === DAYS ? `last ${Number(form.days)} days` : form.period;
  return {
    type: form.type,
    params: paramsOf(type, form.params),
    ...(period ? { period } : {}),
    ...when,
    timezone: form.timezone.trim(),
    format: form.format,
    ...(form.name.trim() ? { name: form.name.trim() } : {}),
    ...(form.notify ? { notify: form.notify } : {}),
  };
}

function preview(body) {
  const days = /^last (\d+) days$/.exec(body.period ?? "");
  const what = days ? t("of.days", { count: Number(days[1]) }) : t(`of.${body.period?.replace("previous ", "") ?? "none"}`);
  return t("form.preview", { when: whenInWords(body), zone: body.timezone, what });
}

/** Say what is wrong with a field: in English as the API says it. */
function inWords(name, said) {
  if (language.value === "en" && said.endsWith(".")) return said;
  return KNOWN.includes(name) ? t(`form.wrong.${name}`) : language.value === "en" ? said : t("form.wrong");
}

const KNOWN = ["cron", "timezone", "name", "period", "at", "on"];

/** Whether all that is wrong stands at a field. */
function isShown(fields, type) {
  const shown = [...KNOWN, "type", "format", "notify", ...Object.keys(type.params.properties ?? {})];
  const names = Object.keys(fields);
  return names.length > 0 && names.every((name) => shown.includes(name));
}
