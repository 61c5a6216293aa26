import { html, useEffect, useId, useRef } from "../lib/ui.js";
import { t } from "../lib/texts.js";

/**
 * A dialog above everything else. Escape closes it, if there is an `onClose`; without, only its buttons do. What
 * has `data-focus` gets the focus.
 */
export function Dialog({ title, onClose, children }) {
  const id = useId();
  const element = useRef(null);
  const show = () => {
    element.current.showModal();
    element.current.querySelector("[data-focus]")?.focus();
  };
  useEffect(() => {
    const opener = document.activeElement;
    show();
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
  // A second `cancel` in a row can't be prevented. So there is none by this key, and if it closes all the same,
  // it is shown again.
  const keyDown = (event) => {
    if (event.key === "Escape" && !onClose) event.preventDefault();
  };
  const closed = () => {
    if (onClose) onClose();
    else if (element.current) show();
  };
  return html`
    <dialog ref=${element} aria-labelledby=${id} onCancel=${cancel} onKeyDown=${keyDown} onClose=${closed}>
      <header>
        <h2 id=${id}>${title}</h2>
        ${onClose && html`<button type="button" class="icon" aria-label=${t("close")} onClick=${onClose}>×</button>`}
      </header>
      ${children}
    </dialog>`;
}
