// What a recurring export is, in words.

import { explain } from "../../lib/explain.js";
import { formatTitle, inWords } from "../../lib/params.js";
import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { relativeInWords, whenInWords } from "../../lib/when.js";
import { Notice } from "../../parts/notice.js";
import { typeNamed, typeTitle } from "../../state/types.js";

/** "Monthly orders · Previous month · Region: South · Excel (xlsx)" */
export function nameOfWhat({ type, period, params, format }) {
  return [typeTitle(type), period && relativeInWords(period), inWords(params, typeNamed(type)), formatTitle(format)]
    .filter(Boolean).join(" · ");
}

/** Its name. One that the API has made is English: say the same in the language of the page. */
export function titleOf({ name, type, period }) {
  const made = [typeTitle(type), period].filter(Boolean).join(", ");
  return name === made ? madeName(type, period) : name;
}

/** Return the name that a recurring export has if nobody gives it one. */
export function madeName(type, period) {
  const title = typeTitle(type);
  return period ? t("recurring.made-name", { title, period: relativeInWords(period) }) : title;
}

/** "On the 1st of each month at 08:00, Asia/Shanghai" */
export function dueInWords(when) {
  return t("when.zone", { when: whenInWords(when), zone: when.timezone });
}

export function State({ state }) {
  return html`<span class="status ${state}">${t(`state.${state}`)}</span>`;
}

/** Why it makes no exports. Nothing, if it does. */
export function Stopped({ one }) {
  if (one.state === "active") return null;
  if (one.state === "missing") return html`<${Notice} kind="warning" title=${t("recurring.missing")}><p>${t("recurring.missing-why")}</p><//>`;
  const { person, reason, error } = readNote(one.note);
  return html`
    <${Notice} kind="warning" title=${t("recurring.paused")}>
      ${person && html`<p>${t("recurring.paused-by", { person: person === "an operator" ? t("recurring.an-operator") : person })}</p>`}
      ${reason && html`<p>${t("recurring.reason", { reason })}</p>`}
      ${error && html`<p>${explain(error)}</p><p class="code">${error.code}</p>`}
    <//>`;
}

/** Read the note of a Schedule, which says by whom it was paused, or by which error. */
function readNote(note) {
  const byError = /^(E_\w+): (.*)$/s.exec(note);
  if (byError) return { error: { code: byError[1], msg: byError[2] } };
  const byPerson = /^paused by (.+?) \(\w+\)(?:: (.*))?$/s.exec(note);
  if (byPerson) return { person: byPerson[1], reason: byPerson[2] };
  return { reason: note };
}
