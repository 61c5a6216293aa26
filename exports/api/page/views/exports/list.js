import { explain } from "../../lib/explain.js";
import { duration, number, size } from "../../lib/format.js";
import { href, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useState } from "../../lib/ui.js";
import { Actions } from "../../parts/export-actions.js";
import { nameOf, Progress, whatOf } from "../../parts/export-card.js";
import { Empty, ErrorNotice, Skeleton } from "../../parts/notice.js";
import { Status } from "../../parts/status.js";
import { Time } from "../../parts/time.js";
import { now } from "../../state/clock.js";
import { exportOf, isOpen } from "../../state/exports.js";
import { me } from "../../state/session.js";
import { typeTitle } from "../../state/types.js";
import { clear } from "./filters.js";

const MATCHES = 50;
const LOOKED = 1000;
const PER_SEARCH = 200;

/** Return what of a list matches a search, and ask for more of it until there is enough to show. */
export function useSearch(listing, words) {
  const [times, setTimes] = useState(1);
  const { ids, next, busy, loaded, problem } = listing.list.value;
  const shown = words ? ids.filter((id) => matches(exportOf(id).peek(), words)) : ids;
  const enough = shown.length >= MATCHES * times || ids.length >= LOOKED * times;
  const looking = Boolean(words && next && !enough);
  useEffect(() => setTimes(1), [words]);
  useEffect(() => {
    if (looking && loaded && !busy && !problem) listing.more(Math.min(PER_SEARCH, LOOKED * times - ids.length));
  });
  const further = () => (words ? setTimes(times + 1) : listing.more());
  return { shown, looking, looked: ids.length, all: !next, words, further };
}

function matches(task, words) {
  const { fileName, id, type, format, createdBy, cancelReason, error } = task;
  const said = [
    fileName, id, type, format, createdBy, cancelReason, typeTitle(type), whatOf(task), t(`status.${task.status}`),
    error && `${error.code} ${error.msg} ${explain(error)}`,
  ];
  const text = said.filter(Boolean).join("\n").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** A list of exports: a table, or cards where there is little room. */
export function List({ listing, search, chosenAny, open }) {
  const { next, busy, loaded, problem } = listing.list.value;
  const { shown, looking, words, further } = search;
  const again = html`<button type="button" onClick=${() => listing.more()}>${t("try-again")}</button>`;
  return html`
    <div class="exports-list" aria-busy=${busy}>
      ${shown.length > 0 && html`<${Table} ids=${shown} listing=${listing} open=${open} />`}
      ${problem && html`<${ErrorNotice} error=${problem} actions=${again} />`}
      ${!problem && (looking || !loaded) && html`<${Skeleton} lines=${shown.length ? 2 : 8} />`}
      ${loaded && !looking && !problem && !shown.length && html`<${Nothing} chosenAny=${chosenAny} />`}
      ${loaded && !looking && !problem && next && html`
        <button type="button" class="more" disabled=${busy} onClick=${further}>
          ${t(busy ? "loading" : words ? "exports.further" : "exports.more")}
        </button>`}
    </div>`;
}

function Nothing({ chosenAny }) {
  if (chosenAny) {
    const actions = html`<button type="button" onClick=${clear}>${t("filters.clear")}</button>`;
    return html`<${Empty} title=${t("exports.none-match")} actions=${actions}><p>${t("exports.none-match-what")}</p><//>`;
  }
  const actions = html`<a class="button primary" href=${href([])}>${t("exports.first")}</a>`;
  return html`<${Empty} title=${t("exports.none")} actions=${actions}><p>${t("exports.none-what")}</p><//>`;
}

// Roles are said, because a browser takes a table that is laid out as cards for none.
function Table({ ids, listing, open }) {
  const operator = me.value?.operator;
  const heads = ["exports.what", "exports.status", "exports.rows", "exports.size", "exports.when"];
  if (operator) heads.push("exports.who");
  const right = new Set(["exports.rows", "exports.size"]);
  return html`
    <table role="table" class="exports-table ${operator ? "with-who" : ""}">
      <caption class="unseen">${t("exports.caption")}</caption>
      <thead role="rowgroup">
        <tr role="row">
          ${heads.map((name) => html`
            <th key=${name} role="columnheader" scope="col" class=${right.has(name) ? "number" : ""}>${t(name)}</th>`)}
          <th role="columnheader" scope="col"><span class="unseen">${t("exports.action")}</span></th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${ids.map((id) => html`
          <${Row} key=${id} id=${id} arrived=${listing.arrived.has(id)} open=${id === open} operator=${operator} />`)}
      </tbody>
    </table>`;
}

function Row({ id, arrived, open, operator }) {
  const task = exportOf(id).value;
  const query = Object.fromEntries(route.value.query);
  const counted = task.status === "done" || task.status === "expired";
  return html`
    <tr role="row" class="${arrived ? "arrived" : ""} ${open ? "open" : ""}">
      <td role="cell" class="what">
        <a id="row-${id}" href=${href(["exports", id], query)} aria-current=${open ? "true" : undefined}>${typeTitle(task.type)}</a>
        <p class="soft">${whatOf(task)}</p>
      </td>
      <td role="cell" class="how"><${How} task=${task} /></td>
      <td role="cell" class="rows number">
        ${counted && html`
          <span class="bare">${number(task.rows)}</span><span class="unit">${t("rows", { count: task.rows })}</span>`}
      </td>
      <td role="cell" class="size number">${counted && size(task.bytes)}</td>
      <td role="cell" class="when">${task.createdAt !== null && html`<${Time} at=${task.createdAt} />`}</td>
      ${operator && html`<td role="cell" class="by">${task.createdBy}</td>`}
      <td role="cell" class="do"><${Actions} brief task=${task} name=${nameOf(task)} /></td>
    </tr>`;
}

function How({ task }) {
  return html`
    <${Status} status=${task.status} />
    ${isOpen(task) && html`<${Progress} task=${task} />`}
    ${task.status === "failed" && html`<p class="why clamped">${explain(task.error ?? { code: "E_INTERNAL" })}</p>`}
    ${task.status === "cancelled" && task.cancelReason && html`<p class="soft clamped">${task.cancelReason}</p>`}
    ${task.status === "done" && html`<${LinkLeft} task=${task} />`}
    ${task.warnings.length > 0 && html`<p class="waits">${t("exports.warned", { count: task.warnings.length })}</p>`}`;
}

function LinkLeft({ task }) {
  const left = (task.expiresAt ?? 0) - now.value;
  return left > 0 && html`<p class="soft">${t("export.link-good", { time: duration(left) })}</p>`;
}
