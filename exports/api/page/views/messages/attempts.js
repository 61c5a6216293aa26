import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { Time } from "../../parts/time.js";
import { Reason } from "./answers.js";

/** The attempts to deliver a message, newest first: when, how it went, status, milliseconds, answer. */
export function Attempts({ attempts }) {
  if (!attempts.length) return html`<p class="soft">${t("deliveries.no-attempt")}</p>`;
  const heads = ["attempt.when", "attempt.how", "attempt.status", "attempt.took", "attempt.answer"];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("deliveries.attempts")}>
      <table>
        <thead><tr>${heads.map((name) => html`<th key=${name} scope="col">${t(name)}</th>`)}</tr></thead>
        <tbody>
          ${attempts.toReversed().map((one) => html`
            <tr key=${one.at}>
              <th scope="row"><${Time} at=${one.at} full=${true} /></th>
              <td>${t(`answer.${one.verdict}`)}${one.verdict !== "delivered" && html`<${Reason} reason=${one.reason} status=${one.status} />`}</td>
              <td>${one.status ?? t("answer.none")}</td>
              <td>${t("answer.took", { count: one.ms })}</td>
              <td>${one.answer ? html`<pre class="answer">${one.answer}</pre>` : t("nothing")}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}
