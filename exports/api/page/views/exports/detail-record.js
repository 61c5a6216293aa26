import { at, call } from "../../lib/api.js";
import { explain } from "../../lib/explain.js";
import { moment } from "../../lib/format.js";
import { has, t } from "../../lib/texts.js";
import { html, useEffect, useState } from "../../lib/ui.js";
import { ErrorNotice, Skeleton } from "../../parts/notice.js";
import { Time } from "../../parts/time.js";
import { asked } from "../../state/exports.js";

const SHOWN = 12;

/** Ask for what belongs to an export, and again when `version` changes. */
function useAnswer(path, version) {
  const [found, setFound] = useState({});
  const [problem, setProblem] = useState(null);
  const [times, setTimes] = useState(0);
  const wanted = `${version} ${times}`;
  useEffect(() => {
    if (found.wanted === wanted) return undefined;
    const stop = new AbortController();
    call("GET", path, { signal: stop.signal }).then(
      (answer) => { setFound({ wanted, answer }); setProblem(null); },
      (error) => { if (!stop.signal.aborted) setProblem(error); },
    );
    return () => stop.abort();
    // `asked` counts up after a lost connection.
  }, [wanted, asked.value]);
  return { answer: found.answer, problem, again: () => setTimes(times + 1) };
}

/** What happened to an export, who did it and when. */
export function Record({ id, level, version }) {
  const { answer, problem, again } = useAnswer(at`/exports/${id}/audit`, version);
  const [all, setAll] = useState(false);
  const Heading = `h${level}`;
  const entries = answer ?? [];
  const hidden = all ? 0 : Math.max(0, entries.length - SHOWN);
  const retry = html`<button type="button" class="small" onClick=${again}>${t("try-again")}</button>`;
  return html`
    <section class="detail-part">
      <${Heading}>${t("record.title")}<//>
      ${problem && html`<${ErrorNotice} error=${problem} actions=${retry} />`}
      ${!answer && !problem && html`<${Skeleton} lines=${4} />`}
      ${answer && !entries.length && html`<p class="soft">${t("record.none")}</p>`}
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
  const { answer } = useAnswer(at`/exports/${id}/deliveries`, version);
  const Heading = `h${level}`;
  if (!answer?.items.length) return null;
  return html`
    <section class="detail-part">
      <${Heading}>${t("sent.title")}<//>
      <ul class="record" role="list">
        ${answer.items.map((one) => html`
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
