import { html, useId } from "../lib/ui.js";

/**
 * A label, a control, a hint and what is wrong with it.
 *
 * `children` is a function that gets what the control needs: `id`, `aria-describedby`, `aria-invalid`.
 */
export function Field({ label, hint, error, children, note }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const control = {
    id,
    "aria-describedby": described || undefined,
    "aria-invalid": error ? "true" : undefined,
  };
  return html`
    <div class="field ${error ? "wrong" : ""}">
      <label for=${id}>${label}${note && html` <span class="note">${note}</span>`}</label>
      ${children(control)}
      ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
      ${error && html`<p class="field-error" id="${id}-error">${error}</p>`}
    </div>`;
}

/** Several controls under one heading: a fieldset. */
export function Group({ legend, hint, error, children, note }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return html`
    <fieldset class="field ${error ? "wrong" : ""}" aria-describedby=${described || undefined}>
      <legend>${legend}${note && html` <span class="note">${note}</span>`}</legend>
      ${children}
      ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
      ${error && html`<p class="field-error" id="${id}-error">${error}</p>`}
    </fieldset>`;
}
