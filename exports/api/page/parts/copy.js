import { t } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { toast } from "./toast.js";

/** A button that copies a text. `of`: what is copied, for those who hear the page. */
export function CopyButton({ text, label = t("copy"), of }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast(t("copied"));
    } catch {
      // A browser may forbid it; then it can be copied by hand.
      toast(t("copy.forbidden", { text }), "error");
    }
  };
  return html`<button type="button" class="quiet small" onClick=${copy}>${label}${of && html`<span class="unseen"> ${of}</span>`}</button>`;
}
