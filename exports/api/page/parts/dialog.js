import { html, useEffect, useId, useRef } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/** A dialog above everything else. Escape closes it, if there is an `onClose`. What has `data-focus` gets the focus. */
export function Dialog({ title, onClose, children }) {
  const id = useId();
  const element = useRef(null);
  useEffect(() => {
    const opener = document.activeElement;
    element.current.showModal();
    element.current.querySelector("[data-focus]")?.focus();
    return () => setTimeout(() => {
      // What opened it may be gone, with what was done here.
      const isThere = opener?.isConnected && opener !== document.body;
      (isThere ? opener : document.getElementById("main"))?.focus();
    });
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  return html`
    <dialog ref=${element} aria-labelledby=${id} onCancel=${cancel}>
      <header>
        <h2 id=${id}>${title}</h2>
        ${onClose && html`<button type="button" class="icon" aria-label=${t("close")} onClick=${onClose}>×</button>`}
      </header>
      ${children}
    </dialog>`;
}
