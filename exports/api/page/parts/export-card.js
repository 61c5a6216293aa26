// One export: what it is of, how far it is, what came of it, and what one can do.

import { advice, explain } from "../lib/explain.js";
import { duration, elapsed, moment, size } from "../lib/format.js";
import { formatTitle, inWords } from "../lib/params.js";
import { href } from "../lib/route.js";
import { t } from "../lib/texts.js";
import { html, useEffect, useState } from "../lib/ui.js";
import { now } from "../state/clock.js";
import { expectedRows } from "../state/expected.js";
import { exportOf, isOpen } from "../state/exports.js";
import { typeNamed, typeTitle } from "../state/types.js";
import { Actions } from "./export-actions.js";
import { Skeleton } from "./notice.js";
import { Bar, Status } from "./status.js";

/** How much of a run is reading, as people feel it; the rest is writing. */
const READING = 0.8;
const LATE_MS = 2000;

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
      <div class="export-body">
        <${Outcome} task=${task} />
        <${Actions} task=${task} name=${nameOf(task)} />
      </div>
    </article>`;
}

/** What it is of, in words: "October 2026 · Excel (xlsx)" */
export function whatOf(task) {
  return [inWords(task.params, typeNamed(task.type)), formatTitle(task.format)].filter(Boolean).join(" · ");
}

/** What one calls it, where it is one of many. */
export function nameOf(task) {
  const title = typeTitle(task.type);
  const what = inWords(task.params, typeNamed(task.type));
  return what ? t("export.name", { title, what }) : title;
}

/** How far an export is, or what came of it. */
export function Outcome({ task }) {
  if (isOpen(task)) return html`<${Progress} task=${task} />`;
  return html`<div class="outcome">${OUTCOMES[task.status](task)}</div>`;
}

const OUTCOMES = {
  done: (task) => html`
    <p class="file-name">${task.fileName ?? t("export.no-name")}</p>
    <p class="outcome-facts">
      <span>${size(task.bytes)}</span><span>${t("rows", { count: task.rows })}</span><${Link} task=${task} />
    </p>`,
  failed: (task) => {
    const error = task.error ?? { code: "E_INTERNAL" };
    return html`
      <p class="why">${explain(error)}</p>
      ${advice(error) && html`<p>${advice(error)}</p>`}
      <p class="code soft">${error.code}</p>`;
  },
  cancelled: ({ cancelReason: reason }) => html`
    <p>${reason ? t("export.cancelled-why", { reason }) : t("export.cancelled")}</p>`,
  expired: () => html`<p class="soft">${t("export.expired")}</p>`,
};

/** Until when the link of a finished export is good. */
function Link({ task }) {
  const left = (task.expiresAt ?? 0) - now.value;
  if (left > 0) return html`<span>${t("export.link-good", { time: duration(left) })}</span>`;
  const kept = task.purgeAt;
  return html`<span>${kept ? t("export.link-over-until", { time: moment(kept) }) : t("export.link-over")}</span>`;
}

/** How far an open export is. */
export function Progress({ task }) {
  const { stage, waitingFor } = task.progress;
  const waiting = task.nextRunAt !== null && task.retries > 0 && task.status === "pending";
  const said = t(`stage.${waiting ? "again" : task.status === "pending" ? "queued" : stage}`);
  return html`
    <div class="progress">
      ${stage === "aggregate" && task.status === "running"
        ? html`<${Reading} task=${task} said=${said} />`
        : html`<${Known} task=${task} said=${said} />`}
      ${waitingFor && html`<p class="waits">${t(`waits.${waitingFor}`)}</p>`}
      ${waiting && html`<${NextAttempt} task=${task} />`}
    </div>`;
}

/** While rows are read, nobody knows how many there are; earlier exports say about how many. */
function Reading({ task, said }) {
  const { rows } = task.progress;
  const [late, setLate] = useState(false);
  // Most exports end before one could read it.
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), LATE_MS);
    return () => clearTimeout(timer);
  }, []);
  const expected = late ? expectedRows(task).value : null;
  const about = expected !== null && rows <= expected;
  const text = about ? t("export.rows-about", { rows, total: expected }) : rows > 0 && t("export.rows", { count: rows });
  return html`<${Line} task=${task} said=${said} share=${about ? READING * (rows / expected) : null} rows=${text} />`;
}

function Known({ task, said }) {
  const { rows, total } = task.progress;
  const text = total ? t("export.rows-of", { rows, total }) : rows > 0 && t("export.rows", { count: rows });
  return html`<${Line} task=${task} said=${said} share=${shareOf(task)} rows=${text} />`;
}

function Line({ task, said, share, rows }) {
  return html`
    <${Bar} share=${share} label=${said} />
    <p class="progress-text">
      <span>${said}</span>
      ${rows && html`<span>${rows}</span>`}
      <span class="soft" aria-hidden="true"><${Elapsed} since=${task.startedAt ?? task.createdAt} /></span>
    </p>`;
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
  if (stage === "upload") return total ? READING + (1 - READING) * Math.min(1, rows / total) : READING;
  return 1;
}
