import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** All exports, and one of them. */
export function Exports() {
  return html`<section class="card"><h1>${t("nav.exports")}</h1></section>`;
}
