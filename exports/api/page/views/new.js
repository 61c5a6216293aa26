import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** Ask for an export, and see the latest ones. */
export function New() {
  return html`<section class="card"><h1>${t("nav.new")}</h1></section>`;
}
