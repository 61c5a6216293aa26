import { call } from "../../lib/api.js";
import { moment } from "../../lib/format.js";
import { go, href, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef } from "../../lib/ui.js";
import { Empty, ErrorNotice, Skeleton } from "../../parts/notice.js";
import { PersonFilter } from "../../parts/person-filter.js";
import { useAnswer } from "../../state/answer.js";
import { me } from "../../state/session.js";
import { dueInWords, nameOfWhat, State, titleOf } from "./words.js";
import { RecurringDetail } from "./detail.js";
import { RecurringNew } from "./new.js";

/** Exports that are made again and again: all, or one. */
export function Recurring() {
  const id = route.value.path[1];
  const before = useRef(id);
  useEffect(() => {
    // What was pressed is gone.
    if (before.current !== id) document.getElementById("recurring-heading").focus({ preventScroll: true });
    before.current = id;
  }, [id]);
  return id ? html`<${RecurringDetail} key=${id} id=${id} />` : html`<${List} />`;
}

function List() {
  const person = route.value.query.get("person") ?? "";
  const adding = route.value.query.has("new");
  const found = useAnswer((signal) => call("GET", "/recurring", { query: { created_by: person }, signal }), [person]);
  const close = () => go(["recurring"], { person });
  const add = html`<a class="button primary" id="new-recurring" href=${href(["recurring"], { new: "yes", person })}>${t("recurring.new")}</a>`;
  return html`
    <section class="card">
      <header>
        <h1 id="recurring-heading" tabindex="-1">${t(me.value.operator && !person ? "recurring.back" : "recurring.title")}</h1>
        ${found.data?.length > 0 && add}
      </header>
      ${me.value.operator && html`<${PersonFilter} value=${person} onChange=${(uid) => go(["recurring"], { person: uid })} />`}
      ${found.error && html`<${ErrorNotice} error=${found.error} actions=${html`<${Again} again=${found.again} />`} />`}
      <${Lines} all=${found.data} failed=${found.error} person=${person} add=${add} />
    </section>
    ${adding && html`<${RecurringNew} onClose=${close} />`}`;
}

function Again({ again }) {
  return html`<button type="button" onClick=${again}>${t("try-again")}</button>`;
}

function Lines({ all, failed, person, add }) {
  if (!all) return failed ? null : html`<${Skeleton} lines=${6} />`;
  if (!all.length && person) return html`<${Empty} title=${t("recurring.empty.person", { person })} />`;
  if (!all.length) {
    return html`
      <${Empty} title=${t(me.value.operator ? "recurring.empty.all" : "recurring.empty")} actions=${add}>
        <p>${t("recurring.empty.why")}</p>
        <p>${t("recurring.empty.how")}</p>
      <//>`;
  }
  return html`<ul role="list" class="lines">${all.map((one) => html`<${Line} key=${one.id} one=${one} />`)}</ul>`;
}

function Line({ one }) {
  const [next] = one.nextRuns;
  return html`
    <li class="line">
      <div class="line-main">
        <h2><a href=${href(["recurring", one.id])}>${titleOf(one)}</a></h2>
        <p>${nameOfWhat(one)}</p>
        <p class="soft">${dueInWords(one.when)}</p>
      </div>
      ${me.value.operator && html`<p class="line-who"><span class="soft">${t("recurring.owner")}</span> ${one.createdBy}</p>`}
      <div class="line-side">
        <${State} state=${one.state} />
        ${next && html`<p><span class="soft">${t("recurring.next")}</span> ${moment(next, one.when.timezone)}</p>`}
      </div>
    </li>`;
}
