import { isDay } from "../../lib/days.js";
import { formatTitle } from "../../lib/params.js";
import { go, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useId, useState } from "../../lib/ui.js";
import { Field } from "../../parts/field.js";
import { PersonFilter } from "../../parts/person-filter.js";
import { me } from "../../state/session.js";
import { types } from "../../state/types.js";

const STATUSES = ["pending", "running", "done", "failed", "cancelled", "expired"];
const FILTERS = ["status", "type", "format", "from", "to", "person"];
const PAUSE_MS = 250;

/** What is chosen, as the address has it: status, type, format, from, to (days), person, q. */
export function chosen() {
  const { query } = route.value;
  return Object.fromEntries([...FILTERS, "recurring", "q"].map((name) => [name, query.get(name) ?? ""]));
}

/** The same as filters of `GET /exports`. Days are those of this browser. */
export function asFilters({ status, type, format, from, to, person, recurring }) {
  return {
    status: STATUSES.includes(status) ? status : null,
    type,
    format,
    recurring,
    created_from: midnight(from, 0),
    created_before: midnight(to, 1),
    created_by: me.value?.operator ? person : null,
  };
}

function midnight(text, later) {
  if (!isDay(text)) return null;
  const [year, month, date] = text.split("-").map(Number);
  const at = new Date(year, month - 1, date + later).getTime();
  return at >= 0 ? at : null;
}

/** Show what is chosen otherwise, with the same export open. */
export function choose(change) {
  go(route.value.path, { ...Object.fromEntries(route.value.query), ...change }, { replace: true });
}

/** Show all exports again, with the same one open. */
export function clear() {
  go(route.value.path, {}, { replace: true });
}

/** Search and filters. */
export function Filters({ found }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const wanted = chosen();
  const used = FILTERS.filter((name) => wanted[name]);
  const formats = [...new Set((types.value ?? []).flatMap((type) => type.formats))];
  const names = (types.value ?? []).map(({ type, title }) => [type, title]);
  return html`
    <search class="filters ${open ? "open" : ""}">
      <${Search} value=${wanted.q} />
      <button type="button" class="filters-toggle" aria-expanded=${open} aria-controls=${id} onClick=${() => setOpen(!open)}>
        ${used.length ? t("filters.used", { count: used.length }) : t("filters.title")}
      </button>
      <div class="filters-more" id=${id}>
        <${Choice} name="status" label=${t("filters.status")} value=${wanted.status}
          options=${STATUSES.map((status) => [status, t(`status.${status}`)])} />
        <${Choice} name="type" label=${t("filters.type")} value=${wanted.type} options=${names} />
        <${Choice} name="format" label=${t("filters.format")} value=${wanted.format}
          options=${formats.map((name) => [name, formatTitle(name)])} />
        <${Day} name="from" label=${t("filters.from")} value=${wanted.from} />
        <${Day} name="to" label=${t("filters.to")} value=${wanted.to} />
        ${me.value?.operator && html`<${PersonFilter} value=${wanted.person} onChange=${(person) => choose({ person })} />`}
      </div>
      ${(used.length > 0 || wanted.recurring) && html`
        <button type="button" class="quiet filters-clear" onClick=${clear}>${t("filters.clear")}</button>`}
      ${wanted.recurring && html`<p class="soft">${t("filters.recurring")}</p>`}
      <p class="soft filters-found" role="status">${found}</p>
    </search>`;
}

function Choice({ name, label, value, options }) {
  const known = options.some(([one]) => one === value);
  return html`
    <${Field} label=${label}>
      ${(control) => html`
        <select ...${control} value=${value} onChange=${(event) => choose({ [name]: event.target.value })}>
          <option value="">${t("filters.all")}</option>
          ${value && !known && html`<option value=${value}>${value}</option>`}
          ${options.map(([one, title]) => html`<option key=${one} value=${one}>${title}</option>`)}
        </select>`}
    <//>`;
}

function Day({ name, label, value }) {
  return html`
    <${Field} label=${label}>
      ${(control) => html`
        <input ...${control} type="date" value=${value} max="9998-12-31" onChange=${(event) => choose({ [name]: event.target.value })} />`}
    <//>`;
}

function Search({ value }) {
  const [text, setText] = useState(value);
  const id = useId();
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return undefined;
    const timer = setTimeout(() => choose({ q: text.trim() }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <div class="search">
      <label for=${id} class="unseen">${t("filters.search")}</label>
      <input id=${id} type="search" placeholder=${t("filters.search-what")} autocomplete="off" spellcheck=${false}
        value=${text} onInput=${(event) => setText(event.target.value)} />
    </div>`;
}
