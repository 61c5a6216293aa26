import { at, call } from "../../lib/api.js";
import { explain } from "../../lib/explain.js";
import { moment } from "../../lib/format.js";
import { has, t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { ErrorNotice, Skeleton } from "../../parts/notice.js";
import { Time } from "../../parts/time.js";
import { useAnswer } from "../../state/answer.js";

const SHOWN = 12;

/** What happened to an export, who did it and when. */
export function Record({ id, level, version }) {
  const ask = (signal) => call("GET", at`/exports/${id}/audit`, { signal });
  const { data, error, again } = useAnswer(ask, [id], { version });
  const [all, setAll] = useState(false);
  const Heading = `h${level}`;
  const entries = data ?? [];
  const hidden = all ? 0 : Math.max(0, entries.length - SHOWN);
  const retry = html`<button type="button" class="small" onClick=${again}>${t("try-again")}</button>`;
  return html`
    <section class="detail-part">
      <${Heading}>${t("record.title")}<//>
      ${error && html`<${ErrorNotice} error=${error} actions=${retry} />`}
      ${!data && !error && html`<${Skeleton} lines=${4} />`}
      ${data && !entries.length && html`<p class="soft">${t("record.none")}</p>`}
      ${hidden > 0 && html`
        <button type="button" class="quiet small" onClick=${() => setAll(true)}>${t("record.all", { count: hidden })}</button>`}
      <ol class="record" role="list">
        ${entries.slice(hidden).map((entry, index) => html`
          <li key=${index}><span class="soft"><${Time} at=${entry.at} full /></span> <span>${inWords(entry)}</span></li>`)}
      </ol>
    </section>`;
}

/** Say an entry of an audit record. */
function inWords({ did, role, user, origin, code, until }) {
  const person = role === "user" || role === "operator";
  const who = user ?? t(`record.who.${role}`);
  const over = person && has(`record.over.${origin}`) ? t(`record.over.${origin}`) : "";
  const by = did === "retried" && person ? "asked-again" : did;
  const name = person && has(`record.${by}.person`) ? `record.${by}.person` : `record.${by}`;
  return t(name, { who, over, time: until && moment(until), why: code && explain({ code }) });
}

/** The messages about an export. Nothing, if there are none. */
export function Deliveries({ id, level, version }) {
  const { data } = useAnswer((signal) => call("GET", at`/exports/${id}/deliveries`, { signal }), [id], { version });
  const Heading = `h${level}`;
  if (!data?.items.length) return null;
  return html`
    <section class="detail-part">
      <${Heading}>${t("sent.title")}<//>
      <ul class="record" role="list">
        ${data.items.map((one) => html`
          <li key=${one.id}>
            <span class="soft"><${Time} at=${one.updatedAt} full /></span>
            <span>${t(`sent.${one.status}`, { channel: channelOf(one), address: one.address })}</span>
          </li>`)}
      </ul>
    </section>`;
}

function channelOf({ channel }) {
  return has(`sent.channel.${channel}`) ? t(`sent.channel.${channel}`) : channel;
}
