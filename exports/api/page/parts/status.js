import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** The status of an export, in a word. */
export function Status({ status }) {
  return html`<span class="status ${status}">${t(`status.${status}`)}</span>`;
}

/** A bar. `share`: 0 to 1; null if nobody knows how much there is. `label`: what it is of. */
export function Bar({ share, label }) {
  return html`<progress class="bar" aria-label=${label} max="1" value=${share ?? undefined}></progress>`;
}
