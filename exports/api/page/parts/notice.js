import { advice, explain } from "../lib/explain.js";
import { html } from "../lib/ui.js";

/** A box with something to know. `kind`: "info", "warning", "error" or "done". */
export function Notice({ kind = "info", title, children, actions }) {
  return html`
    <div class="notice ${kind}" role=${kind === "error" ? "alert" : "status"}>
      <div class="notice-text">
        ${title && html`<p class="notice-title">${title}</p>`}
        ${children}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>`;
}

/** The same for an error: what is wrong, what to do, and its code. */
export function ErrorNotice({ error, title, actions }) {
  return html`
    <${Notice} kind="error" title=${title} actions=${actions}>
      <p>${explain(error)}</p>
      ${advice(error) && html`<p>${advice(error)}</p>`}
      ${error.code !== "OFFLINE" && html`<p class="code">${error.code}</p>`}
    <//>`;
}

/** What stands in place of a list that has nothing in it. */
export function Empty({ title, children, actions }) {
  return html`
    <div class="empty">
      <p class="empty-title">${title}</p>
      ${children}
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>`;
}

/** What stands in place of lines that are on their way. It has their height, so that nothing jumps. */
export function Skeleton({ lines = 3 }) {
  return html`<div class="skeleton" aria-hidden="true">${Array.from({ length: lines }, () => html`<span></span>`)}</div>`;
}
