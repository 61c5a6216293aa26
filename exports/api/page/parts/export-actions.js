// What one can do with an export: cancel it, run it again, download its file.

import { explain } from "../lib/explain.js";
import { formAddress } from "../lib/params.js";
import { t } from "../lib/texts.js";
import { html, useState } from "../lib/ui.js";
import { act, download, exportOf, fetchExport, isOpen } from "../state/exports.js";
import { now } from "../state/clock.js";
import { Dialog } from "./dialog.js";
import { Field } from "./field.js";
import { ErrorNotice } from "./notice.js";

/**
 * The buttons of an export, and what went wrong when one was pressed.
 *
 * `name`: what it is, for those who hear it. `main`: whether the place is about this export.
 * `brief`: only the most needed ones. `onDone`: called after something was done.
 */
export function Actions({ task, name, main = false, brief = false, onDone = () => {} }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const attempt = async (action) => {
    setBusy(true);
    setProblem(null);
    try {
      await action();
      onDone();
    } catch (error) {
      setProblem(error);
      // Something has happened to it in between: show what.
      if (error.status === 409 || error.status === 410) fetchExport(task.id).catch(() => {});
    }
    setBusy(false);
  };
  return html`
    <div class="export-actions">
      <div class="actions">
        ${isOpen(task) && html`<${CancelButton} task=${task} name=${name} />`}
        ${task.status === "failed" && html`
          <button type="button" class="small" disabled=${busy} onClick=${() => attempt(() => act(task.id, "retry"))}>
            ${t("export.retry")}<${Of} name=${name} />
          </button>
          ${!brief && html`
            <a class="button small quiet" href=${formAddress(task)}>${t("export.change")}<${Of} name=${name} /></a>`}`}
        ${task.status === "done" && html`
          <a class="button small download ${main ? "primary" : ""}" href="exports/${encodeURIComponent(task.id)}/file"
            onClick=${(event) => { event.preventDefault(); attempt(() => fileOf(task)); }}>
            ${t("export.download")}<${Of} name=${name} />
          </a>`}
        ${(task.status === "cancelled" || task.status === "expired") && html`
          <a class="button small" href=${formAddress(task)}>${t("export.again")}<${Of} name=${name} /></a>`}
      </div>
      ${problem && html`<p class="field-error" role="alert">${explain(problem)}</p>`}
    </div>`;
}

function Of({ name }) {
  return html`<span class="unseen"> ${name}</span>`;
}

/** Download the file. A link that has ended is made anew, so that it counts down again. */
async function fileOf(task) {
  if (task.expiresAt !== null && task.expiresAt <= now.peek()) await act(task.id, "renew");
  await download(task.id);
}

function CancelButton({ task, name }) {
  const [asking, setAsking] = useState(false);
  return html`
    <button type="button" class="small" onClick=${() => setAsking(true)}>${t("export.cancel")}<${Of} name=${name} /></button>
    ${asking && html`<${CancelDialog} id=${task.id} name=${name} onClose=${() => setAsking(false)} />`}`;
}

function CancelDialog({ id, name, onClose }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim();
    setBusy(true);
    try {
      await act(id, "cancel", { reason });
      onClose();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  const ended = exportOf(id).value && !isOpen(exportOf(id).value);
  return html`
    <${Dialog} title=${t("export.cancel-title")} onClose=${onClose}>
      <form onSubmit=${submit}>
        <p>${ended ? t("export.cancel-late") : t("export.cancel-what", { name })}</p>
        ${!ended && html`
          <${Field} label=${t("export.cancel-reason")} note=${t("optional")} hint=${t("export.cancel-hint")}>
            ${(control) => html`<input ...${control} name="reason" maxlength="200" autocomplete="off" />`}
          <//>`}
        ${problem && html`<${ErrorNotice} error=${problem} />`}
        <div class="actions">
          ${!ended && html`
            <button class="danger" disabled=${busy}>${t(busy ? "export.cancelling" : "export.cancel-yes")}</button>`}
          <button type="button" onClick=${onClose}>${t(ended ? "close" : "export.cancel-no")}</button>
        </div>
      </form>
    <//>`;
}
