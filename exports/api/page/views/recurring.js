import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** Exports that are made again and again. */
export function Recurring() {
  return html`<section class="card"><h1>${t("nav.recurring")}</h1></section>`;
}
