// The form of one type: what to export, in which file, and what would come of it.

import { newKey, OFFLINE } from "../../lib/api.js";
import { isFuture, today } from "../../lib/days.js";
import { explain } from "../../lib/explain.js";
import { href } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useMemo, useRef, useState } from "../../lib/ui.js";
import { choiceOf, problemsOf, queryOf, requestOf } from "../../parts/form/choice.js";
import { Columns } from "../../parts/form/columns.js";
import { Control } from "../../parts/form/controls.js";
import { fieldsOf } from "../../parts/form/fields.js";
import { Format } from "../../parts/form/format.js";
import { periodSaid, zoneSaid } from "../../parts/form/period.js";
import { refusedFields } from "../../parts/form/refused.js";
import { ErrorNotice, Notice } from "../../parts/notice.js";
import { create } from "../../state/exports.js";
import { Estimate, possibleAgain, useEstimate } from "./estimate.js";

const SIGNED_OUT = 401;

/**
 * The form.
 *
 * @param {{type: object, query: URLSearchParams, anew: string, changed: (query: URLSearchParams) => void,
 *   sent: (task: object) => void, children: any}} props
 *   `query` is what it starts with, `changed` gets what is chosen, `sent` the export that came of it;
 *   the estimate is made anew when `anew` changes. `children` stand below the button.
 */
export function Form({ type, query, anew, changed, sent, children }) {
  const fields = useMemo(() => fieldsOf(type), [type]);
  const [choice, setChoice] = useState(() => choiceOf(type, query));
  const [seen, setSeen] = useState(() => new Set());
  const [tries, setTries] = useState(0);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState(null);
  const [made, setMade] = useState(0);
  const key = useRef(null);
  const element = useRef(null);

  const problems = problemsOf(fields, choice);
  const isRight = Object.keys(problems).length === 0;
  const content = isRight ? JSON.stringify(requestOf(type, fields, choice)) : null;
  const found = useEstimate(content, `${anew} ${made}`);
  const isCurrent = content !== null && found?.content === content;
  const error = (refusal?.content === content && refusal.error) || (isCurrent && found.error?.status !== SIGNED_OUT && found.error) || null;
  const refused = refusedFields(error, fields, ["columns", "format"]);
  const isRefused = Object.keys(refused).length > 0;
  const shown = (name) => (problems[name] ? (tries > 0 || seen.has(name)) && t(...problems[name]) : refused[name]) || null;

  const address = `${queryOf(type, choice)}`;
  useEffect(() => changed(new URLSearchParams(address)), [address]);
  useEffect(() => {
    if (tries > 0) element.current.querySelector('[aria-invalid="true"], .field.wrong :is(input, select, textarea)')?.focus();
  }, [tries, refusal]);

  const set = (values) => setChoice((before) => ({ ...before, values: { ...before.values, ...values } }));
  const leave = (name) => setSeen((before) => new Set([...before, name]));
  const send = async (force) => {
    if (busy) return;
    setTries((count) => count + 1);
    if (!isRight) return;
    setBusy(true);
    setRefusal(null);
    // The same key, as long as it is not known whether the export has begun: so it begins once.
    if (key.current?.content !== `${content}${force}`) key.current = { content: `${content}${force}`, key: newKey() };
    try {
      const task = await create(JSON.parse(content), key.current.key, { force });
      key.current = null;
      setTries(0);
      setMade((count) => count + 1);
      sent(task);
    } catch (problem) {
      setRefusal({ content, error: problem });
    }
    setBusy(false);
  };

  const day = today(type.timezone);
  const zone = zoneSaid(type.timezone);
  const periodField = fields.find(({ own }) => !own);
  const period = periodField && !problems[periodField.names[0]] ? periodSaid(periodField, choice.values) : null;
  const control = (field) => html`
    <${Control} key=${field.names[0]} field=${field} values=${choice.values} set=${set} left=${() => leave(field.names[0])}
      error=${shown(field.names[0])} today=${day} zone=${zone} />`;
  const own = fields.filter((field) => field.own);
  return html`
    <form class="ask" ref=${element} noValidate onSubmit=${(event) => { event.preventDefault(); send(false); }}>
      ${periodField && control(periodField)}
      ${own.length > 0 && html`<div class="own">${own.map(control)}</div>`}
      ${choice.columns.length > 0 && html`
        <${Columns} type=${type} columns=${choice.columns} set=${(columns) => setChoice((before) => ({ ...before, columns }))}
          error=${problems.columns ? t(...problems.columns) : refused.columns} />`}
      <${Format} type=${type} format=${choice.format} set=${(format) => setChoice((before) => ({ ...before, format }))} error=${refused.format} />
      <div class="send">
        ${(!isFinal(error) || isRefused) && html`<${Estimate} found=${found} isCurrent=${isCurrent} period=${period} type=${type} force=${() => send(true)}
          future=${Boolean(period) && isFuture(periodField, choice.values, day)} isRight=${isRight && !isRefused} />`}
        ${error && !isRefused && html`<${Refusal} error=${error} wasSent=${refusal?.content === content} />`}
        <div class="actions">
          <button class="primary large" aria-disabled=${busy}>${t(busy ? "new.sending" : "new.send")}</button>
          ${children}
        </div>
      </div>
    </form>`;
}

/** Whether the API would not take the same request a moment later. */
function isFinal(error) {
  return Boolean(error) && (!error.retryable || error.code === "E_QUOTA");
}

/** What the API refuses, if it is not of one field. Without an estimate, one can export all the same. */
function Refusal({ error, wasSent }) {
  if (error.code === "E_QUOTA") {
    const open = html`<a class="button small" href=${href(["exports"], { status: "running" })}>${t("new.see-running")}</a>`;
    return html`
      <${Notice} kind="warning" title=${t("new.quota")} actions=${error.retryAt ? null : open}><p>${explain(error)}</p><p>${possibleAgain(error)}</p><//>`;
  }
  if (!wasSent && !isFinal(error)) return null;
  if (error.code === OFFLINE) return html`<${Notice} kind="error" title=${t("new.no-answer")}><p>${t("new.send-again")}</p><//>`;
  return html`<${ErrorNotice} error=${error} title=${t(wasSent ? "new.not-sent" : "new.not-possible")} />`;
}
