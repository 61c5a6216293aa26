// Short messages at the edge of the page, which a screen reader says.

import { html, signal } from "../lib/ui.js";

const SHOWN_MS = 6000;
const shown = signal([]);
let count = 0;

/** Show a message for a while. `kind`: "done" or "error". */
export function toast(text, kind = "done") {
  const id = (count += 1);
  shown.value = [...shown.value, { id, text, kind }];
  setTimeout(() => {
    shown.value = shown.value.filter((one) => one.id !== id);
  }, SHOWN_MS);
}

export function Toasts() {
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${shown.value.map(({ id, text, kind }) => html`<p key=${id} class="toast ${kind}">${text}</p>`)}
    </div>`;
}
