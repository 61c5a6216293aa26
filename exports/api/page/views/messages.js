import { html } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** How one is told of exports. */
export function Messages() {
  return html`<section class="card"><h1>${t("nav.messages")}</h1></section>`;
}
