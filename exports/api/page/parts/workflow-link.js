import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";
import { me } from "../state/session.js";

/** For operators: a link to the run of an export in the Temporal Web UI. Nothing for others, or if it has no run. */
export function WorkflowLink({ task }) {
  if (!me.value?.webUi || !task.runId) return null;
  const to = [me.value.webUi, ...[task.workflowId, task.runId].map(encodeURIComponent)].join("/");
  return html`
    <a href=${to} target="_blank" rel="noreferrer">
      ${t("workflow")}<span class="unseen"> ${t("new-tab")}</span>
    </a>`;
}
