// One export: what it is of, how far it is, what came of it, and what one can do.

import { advice, explain } from "../lib/explain.js";
import { duration, elapsed, moment, size } from "../lib/format.js";
import { inWords } from "../lib/params.js";
import { href } from "../lib/route.js";
import { t } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { now } from "../state/clock.js";
import { exportOf, isOpen } from "../state/exports.js";
import { typeNamed, typeTitle } from "../state/types.js";
import { Actions } from "./export-actions.js";
import { Skeleton } from "./notice.js";
import { Bar, Status } from "./status.js";

/** How much of a run is reading, as people feel it; the rest is writing. */
const READING = 0.8;

/** An export as a card. Whoever shows it has asked for it: see `page` and `fetchExport`. */
export function ExportCard({ id }) {
  const task = exportOf(id).value;
  if (!task) return html`<article class="export-card"><${Skeleton} lines=${3} /></article>`;
  return html`
    <article class="export-card ${task.status}">
      <header>
        <h3><a href=${href(["exports", id])}>${typeTitle(task.type)}</a></h3>
        <${Status} status=${task.status} />
      </header>
      <p class="export-of">${whatOf(task)}</p>
      <${Outcome} task=${task} />
      <${Actions} task=${task} name=${nameOf(task)} />
    </article>`;
}

/** What it is of, in words: "October 2026 · xlsx" */
export function whatOf(task) {
  return [inWords(task.params, typeNamed(task.type)), task.format].filter(Boolean).join(" · ");
}

/** What one calls it, where it is one of many. */
export function nameOf(task) {
  return [typeTitle(task.type), inWords(task.params, typeNamed(task.type))].filter(Boolean).join(", ");
}

/** How far an export is, or what came of it. */
export function Outcome({ task }) {
  if (isOpen(task)) return html`<${Progress} task=${task} />`;
  return html`<div class="outcome">${OUTCOMES[task.status](task)}</div>`;
}

const OUTCOMES = {
  done: (task) => html`
    <p class="file-name">${task.fileName ?? t("export.no-name")}</p>
    <p class="soft">${[size(task.bytes), t("rows", { count: task.rows })].join(" · ")}</p>
    <${Link} task=${task} />`,
  failed: (task) => {
    const error = task.error ?? { code: "E_INTERNAL" };
    return html`
      <p class="why">${explain(error)}</p>
      ${advice(error) && html`<p>${advice(error)}</p>`}
      <p class="code soft">${error.code}</p>`;
  },
  cancelled: (task) => html`<p>${task.cancelReason ? t("export.cancelled-why", { reason: task.cancelReason }) : t("export.cancelled")}</p>`,
  expired: () => html`<p class="soft">${t("export.expired")}</p>`,
};

/** Until when the link of a finished export is good. */
function Link({ task }) {
  const left = (task.expiresAt ?? 0) - now.value;
  if (left > 0) return html`<p class="soft">${t("export.link-good", { time: duration(left) })}</p>`;
  return html`<p class="soft">${task.purgeAt ? t("export.link-over-until", { time: moment(task.purgeAt) }) : t("export.link-over")}</p>`;
}

function Progress({ task }) {
  const { stage, rows, total, waitingFor } = task.progress;
  const waiting = task.nextRunAt !== null && task.retries > 0 && task.status === "pending";
  const said = t(`stage.${task.status === "pending" ? "queued" : stage}`);
  return html`
    <div class="progress">
      <${Bar} share=${shareOf(task)} label=${said} />
      <p class="progress-text">
        <span>${said}</span>
        ${rows > 0 && html`<span>${total ? t("export.rows-of", { rows, total }) : t("export.rows", { count: rows })}</span>`}
        <span class="soft" aria-hidden="true"><${Elapsed} since=${task.startedAt ?? task.createdAt} /></span>
      </p>
      ${waitingFor && html`<p class="waits">${t(`waits.${waitingFor}`)}</p>`}
      ${waiting && html`<${NextAttempt} task=${task} />`}
    </div>`;
}

function Elapsed({ since }) {
  return since === null ? null : elapsed(Math.max(0, now.value - since));
}

function NextAttempt({ task }) {
  const left = task.nextRunAt - now.value;
  const values = { number: task.retries + 1, most: task.maxRetries, time: elapsed(left) };
  return html`
    <p class="waits">
      ${left > 0 ? t("export.next-attempt", values) : t("export.next-attempt-now", values)}
      ${task.error && html` <span class="soft">${explain(task.error)}</span>`}
    </p>`;
}

/** How much of it is done, 0 to 1; null if nobody knows. */
function shareOf({ status, progress: { stage, rows, total } }) {
  if (status === "pending" || stage === "queued") return null;
  if (stage === "aggregate") return total ? READING * Math.min(1, rows / total) : null;
  if (stage === "upload") return total ? READING + (1 - READING) * Math.min(1, rows / total) : READING;
  return 1;
}
