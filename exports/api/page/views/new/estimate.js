// What would come of an export, before one asks for it.

import { call } from "../../lib/api.js";
import { ago, clockTime, duration, moment, number } from "../../lib/format.js";
import { href } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useState } from "../../lib/ui.js";
import { now } from "../../state/clock.js";
import { exportOf, fetchExport, isOpen } from "../../state/exports.js";

const PAUSE_MS = 350;
const SECOND_MS = 1000;
const MOMENT_MS = 20_000;

/**
 * Ask for an estimate of a request, some time after it has changed.
 *
 * @param {string | null} content The request as JSON; null while something is wrong with it.
 * @param {string} anew The estimate is asked for again when this changes.
 * @returns {{content: string, estimate?: object, error?: import("../../lib/api.js").ApiError} | null}
 */
export function useEstimate(content, anew) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    if (content === null) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const estimate = await call("POST", "/exports", { body: JSON.parse(content), query: { dry_run: true }, signal: stop.signal });
        // It is said when the one was asked for that this would join.
        if (estimate.joins) await fetchExport(estimate.joins).catch(() => {});
        if (!stop.signal.aborted) setFound({ content, estimate });
      } catch (error) {
        if (!stop.signal.aborted) setFound({ content, error });
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [content, anew]);
  return found;
}

/** What an estimate says. It keeps its place while there is none. */
export function Estimate({ found, isCurrent, isRight, period, future, type, force }) {
  const estimate = isRight ? found?.estimate : null;
  return html`
    <div class="estimate ${isCurrent ? "" : "old"}" aria-live="polite">
      ${estimate ? html`
        ${!future && html`<p class="estimate-main">${sizeSaid(estimate)}</p>`}
        <${Left} quotas=${estimate.quotas} type=${type} />
        ${future && html`<p class="estimate-note">${t("new.future", { period })}</p>`}
        ${!future && estimate.openEnded && html`<p class="estimate-note">${period ? t("new.open-ended", { period }) : t("new.open-ended-any")}</p>`}
        ${estimate.joins && html`<${Joins} id=${estimate.joins} force=${force} />`}`
      : html`
        <p class="soft">${t(isRight ? (found?.error && isCurrent ? "new.no-estimate" : "new.estimating") : "new.estimate-later")}</p>`}
    </div>`;
}

function sizeSaid({ rows, seconds }) {
  if (rows === null) return t("new.size-unknown");
  const time = duration(seconds * SECOND_MS);
  return t("new.size", { rows: t("rows", { count: rows }), time });
}

/** How many exports one may still ask for: of this report if it has limits of its own, else of all. */
function Left({ quotas, type }) {
  const own = quotas.reports[type.type] ?? {};
  const said = [];
  const tightest = (per) => [quotas[per], own[per]].filter(Boolean)
    .sort((one, other) => (one.limit - one.used) - (other.limit - other.used))[0];
  const open = tightest("open");
  const day = tightest("day");
  const left = ({ limit, used }) => number(Math.max(0, limit - used));
  if (open) said.push(t("new.left-open", { left: left(open), limit: open.limit }));
  if (day) said.push(t("new.left-day", { left: left(day), limit: day.limit, time: clockTime(day.resetsAt) }));
  return said.length > 0 && html`<p class="soft">${t("new.left", { said: said.join(t("new.and")) })}</p>`;
}

function Joins({ id, force }) {
  const task = exportOf(id).value;
  if (!task) return null;
  const isNew = now.value - task.createdAt < MOMENT_MS;
  const when = isNew ? t("new.just-now") : ago(task.createdAt, now.value);
  return html`
    <div class="estimate-note joins">
      <p>${t(isOpen(task) ? "new.joins" : "new.joins-done", { ago: when })} <a href=${href(["exports", id])}>${t("new.joins-show")}</a></p>
      ${!isOpen(task) && html`<button type="button" class="small" onClick=${force}>${t("new.force")}</button>`}
    </div>`;
}

/** When one can ask again, after a limit was reached. */
export function possibleAgain({ retryAt }) {
  return retryAt ? t("new.again-at", { time: moment(retryAt) }) : t("new.again-open");
}
