import { at, call, newKey } from "../../lib/api.js";
import { plus, today as todayIn } from "../../lib/days.js";
import { go } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useRef, useState } from "../../lib/ui.js";
import { startOfDay } from "../../lib/zones.js";
import { Dialog } from "../../parts/dialog.js";
import { Field } from "../../parts/field.js";
import { ErrorNotice } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useDoing } from "../../state/answer.js";
import { titleOf } from "./words.js";

const MINUTE_MS = 60_000;

/** What one can do with a recurring export. `onChange` gets it as it is then; null if that is not known. */
export function RecurringActions({ one, onChange }) {
  const [open, setOpen] = useState(null);
  const doing = useDoing();
  const key = useRef(null);
  const post = (action, options) => call("POST", `${at`/recurring/${one.id}`}/${action}`, options);
  const resume = () => doing.run(async () => {
    onChange(await post("resume"));
    toast(t("recurring.resumed"));
  });
  const trigger = () => doing.run(async () => {
    // The same key until there is an answer: so that a second press makes no second export.
    key.current ??= newKey();
    onChange(await post("trigger", { key: key.current }));
    key.current = null;
    toast(t("recurring.triggered"));
  });
  const shown = { pause: Pause, backfill: Backfill, delete: Delete }[open];
  const there = one.state !== "missing";
  return html`
    ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
    <div class="actions">
      <${Toggle} active=${one.state === "active"} busy=${doing.busy} onPause=${() => setOpen("pause")} onResume=${resume} />
      ${there && html`<button type="button" aria-disabled=${doing.busy} onClick=${trigger}>${t("recurring.trigger")}</button>`}
      ${there && html`<button type="button" class="quiet" onClick=${() => setOpen("backfill")}>${t("backfill")}</button>`}
      <button type="button" class="quiet danger-text" onClick=${() => setOpen("delete")}>${t("recurring.delete")}</button>
    </div>
    ${shown && html`<${shown} one=${one} post=${post} onChange=${onChange} onClose=${() => setOpen(null)} />`}`;
}

/** One button for both, so that it keeps the focus. */
function Toggle({ active, busy, onPause, onResume }) {
  return html`
    <button type="button" class=${active ? "" : "primary"} aria-disabled=${busy} onClick=${active ? onPause : onResume}>
      ${t(active ? "recurring.pause" : "recurring.resume")}
    </button>`;
}

function Pause({ post, onChange, onClose }) {
  const doing = useDoing();
  const submit = (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim();
    doing.run(async () => {
      onChange(await post("pause", { body: { reason } }));
      toast(t("recurring.paused-now"));
      onClose();
    });
  };
  return html`
    <${Dialog} title=${t("recurring.pause-title")} onClose=${onClose}>
      <form onSubmit=${submit}>
        <p>${t("recurring.pause-what")}</p>
        <${Field} label=${t("recurring.pause-reason")} note=${t("optional")} hint=${t("recurring.pause-hint")}>
          ${(control) => html`<input ...${control} data-focus name="reason" maxlength="200" autocomplete="off" />`}
        <//>
        ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
        <div class="actions">
          <button class="primary" aria-disabled=${doing.busy}>${t("recurring.pause")}</button>
          <button type="button" onClick=${onClose}>${t("cancel")}</button>
        </div>
      </form>
    <//>`;
}

function Backfill({ one, post, onChange, onClose }) {
  const doing = useDoing();
  const zone = one.when.timezone;
  const today = todayIn(zone);
  const [from, setFrom] = useState("");
  const [to, setTo] = useState(today);
  const wrong = from && to && from > to ? t("backfill.order") : null;
  // It was never due in them, or too often: everything else is checked here.
  const refused = doing.error?.code === "E_REQUEST" ? t("backfill.none-due") : null;
  const late = to > today ? t("backfill.past") : null;
  const submit = (event) => {
    event.preventDefault();
    if (wrong || late) return;
    // The clock of this machine may be ahead, and a backfill is of past times only.
    const until = Math.min(startOfDay(plus(to, 1), zone), Date.now() - MINUTE_MS);
    doing.run(async () => {
      const ids = await post("backfill", { body: { since: startOfDay(from, zone), until } });
      toast(t("backfill.done", { count: ids.length }));
      onChange(null);
      onClose();
    });
  };
  const input = (control, value, set, first) => html`
    <input ...${control} data-focus=${first} type="date" required max=${today} value=${value} onInput=${(event) => set(event.target.value)} />`;
  return html`
    <${Dialog} title=${t("backfill.title")} onClose=${onClose}>
      <form onSubmit=${submit}>
        <p>${t("backfill.what")}</p>
        <div class="row">
          <${Field} label=${t("backfill.from")} error=${wrong ?? refused}>${(control) => input(control, from, setFrom, true)}<//>
          <${Field} label=${t("backfill.to")} error=${late}>${(control) => input(control, to, setTo)}<//>
        </div>
        <p class="hint">${t("backfill.zone", { zone })}</p>
        ${doing.error && !refused && html`<${ErrorNotice} error=${doing.error} />`}
        <div class="actions">
          <button class="primary" aria-disabled=${doing.busy}>${t("backfill.go")}</button>
          <button type="button" onClick=${onClose}>${t("cancel")}</button>
        </div>
      </form>
    <//>`;
}

function Delete({ one, onClose }) {
  const doing = useDoing();
  const remove = () => doing.run(async () => {
    await call("DELETE", at`/recurring/${one.id}`);
    toast(t("recurring.deleted"));
    go(["recurring"], {}, { replace: true });
  });
  return html`
    <${Dialog} title=${t("recurring.delete-title")} onClose=${onClose}>
      <p>${t("recurring.delete-what", { name: titleOf(one) })}</p>
      ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
      <div class="actions">
        <button type="button" class="danger" aria-disabled=${doing.busy} onClick=${remove}>${t("recurring.delete-go")}</button>
        <button type="button" data-focus onClick=${onClose}>${t("recurring.keep")}</button>
      </div>
    <//>`;
}
