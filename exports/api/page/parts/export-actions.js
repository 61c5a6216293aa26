// What one can do with an export: cancel it, run it again, download its file.

import { explain } from "../lib/explain.js";
import { formAddress } from "../lib/params.js";
import { t } from "../lib/texts.js";
import { html, useState } from "../lib/ui.js";
import { useDoing } from "../state/answer.js";
import { act, download, exportOf, fetchExport, isOpen } from "../state/exports.js";
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
  const doing = useDoing();
  const attempt = (action) => doing.run(async () => {
    try {
      await action();
    } catch (error) {
      // Something has happened to it in between: show what.
      if (error.status === 409 || error.status === 410) fetchExport(task.id).catch(() => {});
      throw error;
    }
    onDone();
  });
  return html`
    <div class="export-actions">
      <div class="actions">
        ${isOpen(task) && html`<${CancelButton} task=${task} name=${name} />`}
        ${task.status === "failed" && html`
          <button type="button" class="small" aria-disabled=${doing.busy} onClick=${() => attempt(() => act(task.id, "retry"))}>
            ${t("export.retry")}<${Of} name=${name} />
          </button>
          ${!brief && html`
            <a class="button small quiet" href=${formAddress(task)}>${t("export.change")}<${Of} name=${name} /></a>`}`}
        ${task.status === "done" && html`
          <a class="button small download ${main ? "primary" : ""}" href="exports/${encodeURIComponent(task.id)}/file"
            onClick=${(event) => { event.preventDefault(); attempt(() => download(task)); }}>
            ${t("export.download")}<${Of} name=${name} />
          </a>`}
        ${(task.status === "cancelled" || task.status === "expired") && html`
          <a class="button small" href=${formAddress(task)}>${t("export.again")}<${Of} name=${name} /></a>`}
      </div>
      ${doing.error && html`<p class="field-error" role="alert">${explain(doing.error)}</p>`}
    </div>`;
}

function Of({ name }) {
  return html`<span class="unseen"> ${name}</span>`;
}

function CancelButton({ task, name }) {
  const [asking, setAsking] = useState(false);
  return html`
    <button type="button" class="small" onClick=${() => setAsking(true)}>${t("export.cancel")}<${Of} name=${name} /></button>
    ${asking && html`<${CancelDialog} id=${task.id} name=${name} onClose=${() => setAsking(false)} />`}`;
}

function CancelDialog({ id, name, onClose }) {
  const doing = useDoing();
  const submit = (event) => {
    event.preventDefault();
    const reason = new FormData(event.target).get("reason").trim();
    doing.run(async () => {
      await act(id, "cancel", { reason });
      onClose();
    });
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
        ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
        <div class="actions">
          ${!ended && html`
            <button class="danger" aria-disabled=${doing.busy}>${t(doing.busy ? "export.cancelling" : "export.cancel-yes")}</button>`}
          <button type="button" onClick=${onClose}>${t(ended ? "close" : "export.cancel-no")}</button>
        </div>
      </form>
    <//>`;
}
