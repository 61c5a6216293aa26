import { t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { Dialog } from "../../parts/dialog.js";
import { ErrorNotice } from "../../parts/notice.js";
import { removeFile } from "../../state/exports.js";
import { CopyButton } from "../../parts/copy.js";

/** What else can be done with the file of an export: copy its address, remove it. */
export function FileTools({ task }) {
  const [asking, setAsking] = useState(false);
  if (task.status !== "done") return null;
  // The address of the page, which makes a new link on each use; a link itself ends within minutes.
  const address = new URL(`exports/${encodeURIComponent(task.id)}/file`, location.href.split("#")[0]).href;
  return html`
    <${CopyButton} text=${address} label=${t("file.copy-address")} />
    <button type="button" class="quiet small" onClick=${() => setAsking(true)}>${t("file.remove")}</button>
    ${asking && html`<${RemoveDialog} task=${task} onClose=${() => setAsking(false)} />`}`;
}

function RemoveDialog({ task, onClose }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await removeFile(task.id);
      onClose();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title=${t("file.remove-title")} onClose=${onClose}>
      <form onSubmit=${submit}>
        <p>${t("file.remove-what", { name: task.fileName ?? t("export.no-name") })}</p>
        ${problem && html`<${ErrorNotice} error=${problem} />`}
        <div class="actions">
          <button class="danger" disabled=${busy}>${t("file.remove-yes")}</button>
          <button type="button" onClick=${onClose}>${t("file.remove-no")}</button>
        </div>
      </form>
    <//>`;
}
