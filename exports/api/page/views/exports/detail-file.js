import { href } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { Dialog } from "../../parts/dialog.js";
import { ErrorNotice } from "../../parts/notice.js";
import { useDoing } from "../../state/answer.js";
import { removeFile } from "../../state/exports.js";
import { CopyButton } from "../../parts/copy.js";

/** What else can be done with the file of an export: copy a link to it, remove it. */
export function FileTools({ task }) {
  const [asking, setAsking] = useState(false);
  if (task.status !== "done") return null;
  // Not that of the file: a click in a mail or a chat sends no cookie along, and is not signed in there.
  const address = `${location.origin}${location.pathname}${href(["exports", task.id])}`;
  return html`
    <${CopyButton} text=${address} label=${t("new.copy-link")} />
    <button type="button" class="quiet small" onClick=${() => setAsking(true)}>${t("file.remove")}</button>
    ${asking && html`<${RemoveDialog} task=${task} onClose=${() => setAsking(false)} />`}`;
}

function RemoveDialog({ task, onClose }) {
  const doing = useDoing();
  const submit = (event) => {
    event.preventDefault();
    doing.run(async () => {
      await removeFile(task.id);
      onClose();
    });
  };
  return html`
    <${Dialog} title=${t("file.remove-title")} onClose=${onClose}>
      <form onSubmit=${submit}>
        <p>${t("file.remove-what", { name: task.fileName ?? t("export.no-name") })}</p>
        ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
        <div class="actions">
          <button class="danger" aria-disabled=${doing.busy}>${t("file.remove-yes")}</button>
          <button type="button" onClick=${onClose}>${t("file.remove-no")}</button>
        </div>
      </form>
    <//>`;
}
