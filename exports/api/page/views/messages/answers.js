import { language, t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";

/** What a receiver answered: status, milliseconds, why, and the first characters. */
export function Answer({ status, ms, reason, answer, verdict }) {
  return html`
    <p class="answer-facts">
      <span>${status === null ? t("answer.none") : t("answer.status", { status: String(status) })}</span>
      <span>${t("answer.took", { count: ms })}</span>
    </p>
    ${verdict !== "delivered" && html`<${Reason} reason=${reason} status=${status} />`}
    ${answer ? html`<p class="soft">${t("answer.begins")}</p><pre class="answer" tabindex="0">${answer}</pre>` : html`<p class="soft">${status !== null && t("answer.empty")}</p>`}`;
}

/** Why a message was not taken, which the API says in English. Elsewhere, a status says enough. */
export function Reason({ reason, status }) {
  if (!reason || (language.value !== "en" && status !== null)) return null;
  return html`<p lang=${language.value === "en" ? undefined : "en"}>${reason}</p>`;
}
