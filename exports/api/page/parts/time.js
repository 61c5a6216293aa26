import { ago, exactly, moment } from "../lib/format.js";
import { html } from "../lib/ui.js";
import { now } from "../state/clock.js";

/** A moment, as "5 minutes ago" or, with `full`, as a day and a time; exactly in its tooltip. */
export function Time({ at, full = false }) {
  const text = full ? moment(at) : ago(at, now.value);
  return html`<time datetime=${new Date(at).toISOString()} title=${exactly(at)}>${text}</time>`;
}
