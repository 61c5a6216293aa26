import { at, call } from "../../lib/api.js";
import { day, list, moment } from "../../lib/format.js";
import { formatTitle, inWords } from "../../lib/params.js";
import { href } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef } from "../../lib/ui.js";
import { relativeInWords } from "../../lib/when.js";
import { ExportCard } from "../../parts/export-card.js";
import { ErrorNotice, Skeleton } from "../../parts/notice.js";
import { Time } from "../../parts/time.js";
import { useAnswer } from "../../state/answer.js";
import { page } from "../../state/exports.js";
import { me } from "../../state/session.js";
import { typeNamed, typeTitle } from "../../state/types.js";
import { RecurringActions } from "./actions.js";
import { dueInWords, State, Stopped, titleOf } from "./words.js";

const SHOWN = 6;

/** A recurring export: what it makes, when, what it has made, and what one can do with it. */
export function RecurringDetail({ id }) {
  const found = useAnswer((signal) => call("GET", at`/recurring/${id}`, { signal }));
  const audit = useAnswer(async (signal) => found.data && call("GET", at`/recurring/${id}/audit`, { signal }), [id], { version: found.data });
  const one = found.data;
  const changed = (data) => (data ? found.put(data) : found.again());
  const retry = html`<button type="button" onClick=${found.again}>${t("try-again")}</button>`;
  return html`
    <p><a href=${href(["recurring"])}>← ${t("recurring.back")}</a></p>
    <section class="card">
      <header>
        <h1 id="recurring-heading" tabindex="-1">${one ? titleOf(one) : t("recurring.title")}</h1>
        ${one && html`<${State} state=${one.state} />`}
      </header>
      ${found.error && html`<${ErrorNotice} error=${found.error} actions=${found.error.status === 404 ? null : retry} />`}
      ${!one && !found.error && html`<${Skeleton} lines=${10} />`}
      ${one && html`
        <${Stopped} one=${one} />
        <${Facts} one=${one} />
        <${RecurringActions} one=${one} onChange=${changed} />`}
    </section>
    ${one && html`
      <${Made} id=${id} onNew=${found.again} />
      <section class="card">
        <h2>${t("recurring.audit")}</h2>
        ${audit.error && html`<${ErrorNotice} error=${audit.error} />`}
        ${audit.data ? html`<${Audit} entries=${audit.data} zone=${one.when.timezone} />` : html`<${Skeleton} lines=${2} />`}
      </section>`}`;
}

function Facts({ one }) {
  const params = inWords(one.params, typeNamed(one.type));
  const zone = one.when.timezone;
  const told = one.notify && (one.notify.length ? list(one.notify.map((name) => t(`channel.${name}`))) : t("recurring.told-nobody"));
  const none = t(one.state === "paused" ? "recurring.no-next" : "recurring.never-next");
  return html`
    <dl class="facts">
      <${Fact} name="recurring.report">${typeTitle(one.type)}<//>
      <${Fact} name="recurring.period">${relativeInWords(one.period)}<//>
      ${params && html`<${Fact} name="recurring.params">${params}<//>`}
      <${Fact} name="recurring.when">${dueInWords(one.when)}<//>
      <${Fact} name="recurring.next-times">${one.nextRuns.length
        ? html`<ul role="list">${one.nextRuns.map((time) => html`<li key=${time}>${moment(time, zone)}</li>`)}</ul>`
        : none}<//>
      <${Fact} name="recurring.last">${one.lastRuns.length
        ? html`<ul role="list">${one.lastRuns.toSorted((a, b) => b - a).map((time) => html`
            <li key=${time}><a href=${href(["exports", madeAt(one.id, time)])}>${moment(time, zone)}</a></li>`)}</ul>`
        : t("recurring.none-last")}<//>
      <${Fact} name="recurring.format">${formatTitle(one.format)}<//>
      <${Fact} name="recurring.told">${told ?? t("recurring.told-default")}<//>
      ${me.value.operator && html`<${Fact} name="recurring.owner">${one.createdBy}<//>`}
      <${Fact} name="recurring.created"><${Time} at=${one.createdAt} full=${true} /><//>
    </dl>`;
}

function Fact({ name, children }) {
  return html`<div><dt>${t(name)}</dt><dd>${children}</dd></div>`;
}

/** Return the id of the export that was planned for a time. */
function madeAt(id, time) {
  return `${id}-${new Date(time).toISOString().replace(/\.\d+Z$/, "Z")}`;
}

/** The latest exports. `onNew` is called when there is another one. */
function Made({ id, onNew }) {
  const found = useAnswer((signal) => page({ recurring: id, limit: SHOWN }, { signal }), [], { live: true });
  const items = found.data?.items;
  const newest = items?.[0]?.id;
  const before = useRef(newest);
  useEffect(() => {
    if (found.data && before.current !== undefined && before.current !== newest) onNew();
    if (found.data) before.current = newest ?? null;
  }, [found.data]);
  return html`
    <section class="card">
      <header>
        <h2>${t("recurring.exports")}</h2>
        ${items?.length > 0 && html`<a href=${href(["exports"], { recurring: id })}>${t("recurring.exports-all")}</a>`}
      </header>
      ${found.error && html`<${ErrorNotice} error=${found.error} />`}
      ${!items && !found.error && html`<${Skeleton} lines=${4} />`}
      ${items?.length === 0 && html`<p class="soft">${t("recurring.exports-none")}</p>`}
      ${items?.length > 0 && html`
        <ul role="list" class="export-cards">${items.map((task) => html`<li key=${task.id}><${ExportCard} id=${task.id} /></li>`)}</ul>`}
    </section>`;
}

function Audit({ entries, zone }) {
  const inZone = (time) => day(time, zone);
  // `until` is when the day after the last one begins.
  const span = ({ since, until }) => (since ? { since: inZone(since), until: inZone(until - 1) } : {});
  return html`
    <ol role="list" class="audit">
      ${entries.toReversed().map((entry, index) => html`
        <li key=${entries.length - index}>
          <span>${t(`audit.${entry.did}`, span(entry))}</span>
          <span class="soft">${author(entry)}</span>
          ${entry.code && html`<span class="code">${entry.code}</span>`}
          <span class="soft"><${Time} at=${entry.at} full=${true} /></span>
        </li>`)}
    </ol>`;
}

function author({ role, user }) {
  if (role === "user") return t("audit.by", { person: user });
  return role === "operator" ? t("audit.by", { person: t("recurring.an-operator") }) : t("audit.by-service");
}
