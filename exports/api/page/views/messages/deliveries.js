import { at, call } from "../../lib/api.js";
import { ago } from "../../lib/format.js";
import { inWords } from "../../lib/params.js";
import { go, href, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useState } from "../../lib/ui.js";
import { Empty, ErrorNotice, Skeleton } from "../../parts/notice.js";
import { PersonFilter } from "../../parts/person-filter.js";
import { Time } from "../../parts/time.js";
import { toast } from "../../parts/toast.js";
import { useAnswer, useDoing } from "../../state/answer.js";
import { now } from "../../state/clock.js";
import { me } from "../../state/session.js";
import { typeTitle } from "../../state/types.js";
import { Attempts } from "./attempts.js";

const PER_PAGE = 20;
const SOON_MS = 3000;
const LATE_MS = 3_600_000;

/** The messages that were sent, or are on their way: newest first. */
export function Deliveries() {
  const person = route.value.query.get("person") ?? "";
  const [pages, setPages] = useState(1);
  const found = useAnswer((signal) => read({ person, pages, signal }), [person], { version: pages });
  const { data, error } = found;
  useLookAgain(found);
  const change = (one) => found.put((before) => ({ ...before, items: before.items.map((item) => (item.id === one.id ? one : item)) }));
  return html`
    <section class="card">
      <header>
        <h2>${t(me.value.operator && !person ? "deliveries.title-all" : "deliveries.title")}</h2>
        <button type="button" class="quiet small" onClick=${found.again}>${t("deliveries.refresh")}</button>
      </header>
      ${me.value.operator && html`<${PersonFilter} value=${person} onChange=${(uid) => go(["messages"], { person: uid }, { replace: true })} />`}
      <p class="soft">${t("deliveries.kept")}</p>
      ${error && html`<${ErrorNotice} error=${error} />`}
      ${!data && !error && html`<${Skeleton} lines=${6} />`}
      ${data?.items.length === 0 && (person
        ? html`<${Empty} title=${t("deliveries.none-person", { person })} />`
        : html`<${Empty} title=${t("deliveries.none")}><p>${t("deliveries.none-why")}</p><//>`)}
      ${data?.items.length > 0 && html`
        <ul role="list" class="lines">
          ${data.items.map((one) => html`<${Delivery} key=${one.id} one=${one} onChange=${change} />`)}
        </ul>`}
      ${data?.next && html`
        <div class="actions"><button type="button" onClick=${() => setPages(pages + 1)}>${t("deliveries.more")}</button></div>`}
    </section>`;
}

/** Read so many pages, from the newest one on: what is sent meanwhile moves nothing out of sight. */
async function read({ person, pages, signal }) {
  const items = [];
  let after = null;
  for (let count = 0; count < pages; count += 1) {
    const query = { created_by: person, after, limit: PER_PAGE };
    const found = await call("GET", "/deliveries", { query, signal });
    items.push(...found.items);
    after = found.next;
    if (!after) break;
  }
  return { items, next: after };
}

/** Look again when the next attempt at one of them is due: no stream tells of these. */
function useLookAgain({ data, error, again }) {
  useEffect(() => {
    const pending = data?.items.filter(({ status }) => status === "pending") ?? [];
    if (!pending.length) return undefined;
    const left = Math.min(...pending.map(({ nextAttemptAt }) => nextAttemptAt ?? 0)) - Date.now();
    const timer = setTimeout(again, Math.min(Math.max(left, SOON_MS), LATE_MS));
    return () => clearTimeout(timer);
    // After an error, too.
  }, [data, error]);
}

function Delivery({ one, onChange }) {
  const doing = useDoing();
  const act = (action, said) => () => doing.run(async () => {
    onChange(await call("POST", `${at`/deliveries/${one.id}`}/${action}`));
    toast(t(said));
  });
  const pending = one.status === "pending";
  const next = pending && one.nextAttemptAt > now.value ? ago(one.nextAttemptAt, now.value) : null;
  return html`
    <li class="line">
      <div class="line-main">
        <div class="told-of"><h3>${t(`event.${one.event}`)}</h3><p><${About} one=${one} /></p></div>
      </div>
      ${me.value.operator && html`<p class="line-who"><span class="soft">${t("person")}</span> ${one.createdBy}</p>`}
      <div class="line-side">
        <span class="status ${one.status}">${t(`delivery.${one.status}`)}</span>
        <span class="soft"><${Time} at=${one.createdAt} /></span>
      </div>
      <details class="attempts">
        <summary>
          ${t("deliveries.to", { channel: t(`channel.${one.channel}`), address: one.address })}
          <span class="note">${t("deliveries.count", { count: one.attempts.length })}</span>
        </summary>
        <div>
          <${Attempts} attempts=${one.attempts} />
          ${next && html`<p>${t("deliveries.next", { time: next })}</p>`}
          <div class="actions">
            ${pending
              ? html`<button type="button" class="small" aria-disabled=${doing.busy} onClick=${act("cancel", "deliveries.stopped")}>${t("deliveries.stop")}</button>`
              : html`<button type="button" class="small" aria-disabled=${doing.busy} onClick=${act("send-again", "deliveries.sent-again")}>${t("deliveries.again")}</button>`}
          </div>
          ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
        </div>
      </details>
    </li>`;
}

/** What a message is about: an export, with a link to it, or something else by its name. */
function About({ one }) {
  if (!one.taskId) return one.event.startsWith("webhook.") ? one.address : one.name;
  const what = [one.type && typeTitle(one.type), one.period && periodOf(one.period)].filter(Boolean).join(" · ");
  return html`<a href=${href(["exports", one.taskId])}>${what || one.taskId}</a>`;
}

/** Return a period as messages have it in words: "2026-10", "2026", "2026-10-01_2026-11-01". */
function periodOf(text) {
  const [year, month] = text.split("-").map(Number);
  const [from, to] = text.split("_");
  if (/^\d{4}-\d{2}$/.test(text)) return inWords({ year, month });
  if (/^\d{4}$/.test(text)) return inWords({ year });
  return to ? inWords({ from, to }) : text;
}
