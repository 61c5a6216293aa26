// Ask for an export, and see the latest ones.

import { call } from "../../lib/api.js";
import { list } from "../../lib/format.js";
import { periodInWords } from "../../lib/params.js";
import { href } from "../../lib/route.js";
import { has, t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { ExportCard } from "../../parts/export-card.js";
import { lastQuery, lastType, remember } from "../../parts/form/choice.js";
import { Empty, ErrorNotice, Notice, Skeleton } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useAnswer } from "../../state/answer.js";
import { asked, exportOf, isOpen, page } from "../../state/exports.js";
import { me, session } from "../../state/session.js";
import { loadTypes, types, typeTitle } from "../../state/types.js";
import { Form } from "./form.js";

const LATEST = 5;
const MOST_CARDS = 6;
const PAUSE_MS = 300;

/** What is not in the address yet. */
let address = { query: null };

/** Ask for an export, and see the latest ones. */
export function New() {
  const [sent, setSent] = useState(null);
  const latest = useLatest(sent?.id);
  const heading = useRef(null);
  const done = (task) => {
    setSent(task);
    // On a narrow screen it is below the form.
    if (matchMedia("(max-width: 960px)").matches) heading.current.focus();
  };
  // What is left of a quota changes when one ends; and after a sign-in or a lost connection, all is asked for again.
  const anew = [session.value, asked.value, ...(latest.ids ?? []).filter((id) => isOpen(exportOf(id).value ?? {}))].join();
  return html`
    <div class="new">
      <section class="card">
        <h1>${t("nav.new")}</h1>
        <${Ask} anew=${anew} sent=${done} />
      </section>
      <section class="card latest">
        <header>
          <h2 ref=${heading} tabindex="-1">${t("new.latest")}</h2>
          <a href=${href(["exports"])}>${t("new.all")}</a>
        </header>
        <${Said} sent=${sent} />
        <${Latest} ...${latest} fresh=${sent?.id} />
      </section>
    </div>`;
}

function Ask({ anew, sent }) {
  const [problem, setProblem] = useState(null);
  const [asks, setAsks] = useState(0);
  // What the address asked for when the view was opened.
  const [given, setGiven] = useState(() => new URLSearchParams(location.search));
  const [name, setName] = useState(() => given.get("type") ?? lastType());
  useEffect(() => {
    setProblem(null);
    loadTypes().catch(setProblem);
  }, [asks, asked.value]);
  useEffect(() => () => { showAddress(""); flushAddress(); }, []);
  if (!types.value) {
    if (!problem) return html`<${Skeleton} lines=${24} />`;
    const retry = html`<button type="button" onClick=${() => setAsks(asks + 1)}>${t("try-again")}</button>`;
    return html`<${ErrorNotice} error=${problem} title=${t("new.no-types-known")} actions=${retry} />`;
  }
  if (!types.value.length) return html`<${Empty} title=${t("new.no-types")}><p>${t("new.no-types-why")}</p><//>`;
  const type = types.value.find((one) => one.type === name) ?? types.value[0];
  const isUnknown = given.get("type") === name && name && type.type !== name;
  const query = given.get("type") === type.type ? given : lastQuery(type);
  const choose = (wanted) => {
    setGiven(new URLSearchParams());
    setName(wanted);
  };
  const changed = (chosen) => {
    remember(type, chosen);
    showAddress(`?${chosen}`);
  };
  return html`
    ${isUnknown && html`<${Notice} kind="warning" title=${t("new.unknown-type")} />`}
    <${Types} chosen=${type} choose=${choose} />
    <${Form} key=${type.type} type=${type} query=${query} anew=${anew} changed=${changed} sent=${sent}>
      <button type="button" class="quiet" onClick=${copyLink}>${t("new.copy-link")}</button>
    <//>
    <${Told} />`;
}

/** Put what is chosen into the address soon, so that it can be copied. Safari allows 100 changes in 30 seconds. */
function showAddress(query) {
  clearTimeout(address.timer);
  address = { query, timer: setTimeout(flushAddress, PAUSE_MS) };
}

/** Do that now. */
function flushAddress() {
  if (address.query === null) return;
  clearTimeout(address.timer);
  // A comma needs no escape there, and people read it.
  history.replaceState(history.state, "", `${location.pathname}${address.query.replaceAll("%2C", ",")}${location.hash}`);
  address = { query: null };
}

async function copyLink() {
  flushAddress();
  try {
    await navigator.clipboard.writeText(`${location.origin}${location.pathname}${location.search}#/`);
    toast(t("new.link-copied"));
  } catch {
    // Not by https, or the person does not allow it.
    toast(t("new.link-not-copied"));
  }
}

/** The reports, as cards; if they are many, as a list that opens. */
function Types({ chosen, choose }) {
  const columns = (type) => (type.columns.length ? list(type.columns.map(({ title }) => title)) : t("new.columns-vary"));
  if (types.value.length > MOST_CARDS) {
    return html`
      <div class="field">
        <label for="type">${t("new.type")}</label>
        <select id="type" value=${chosen.type} onChange=${(event) => choose(event.target.value)}>
          ${types.value.map(({ type, title }) => html`<option key=${type} value=${type}>${title}</option>`)}
        </select>
        <p class="hint type-columns">${columns(chosen)}</p>
      </div>`;
  }
  return html`
    <fieldset class="field">
      <legend>${t("new.type")}</legend>
      <div class="cards types">
        ${types.value.map((type) => html`
          <label key=${type.type} class="choice card-choice">
            <input type="radio" name="type" value=${type.type} checked=${type === chosen} onChange=${() => choose(type.type)} />
            <span class="choice-text">
              <span class="choice-name">${type.title}</span>
              <span class="soft type-columns">${columns(type)}</span>
            </span>
          </label>`)}
      </div>
    </fieldset>`;
}

/** How one is told of the end of an export. */
function Told() {
  const [choice, setChoice] = useState(null);
  useEffect(() => {
    // It is a line beside the matter: without an answer, it is left out.
    call("GET", "/me/notify").then(setChoice).catch(() => {});
  }, []);
  if (!choice?.available.length) return html`<p class="told soft"> </p>`;
  const names = choice.notify.map((name) => (has(`new.by.${name}`) ? t(`new.by.${name}`) : name));
  return html`
    <p class="told soft">
      ${names.length ? t("new.told", { names: list(names) }) : t("new.not-told")} <a href=${href(["messages"])}>${t("new.told-change")}</a>
    </p>`;
}

/** What came of the form: that it has begun, and how it ended. A screen reader says it. */
function Said({ sent }) {
  const task = sent && (exportOf(sent.id).value ?? sent);
  const begun = sent?.joined ? "new.said.joined" : "new.said.begun";
  const name = task && [typeTitle(task.type), periodInWords(task.params)].filter(Boolean).join(", ");
  const text = task && t(isOpen(task) || sent.joined ? begun : `new.said.${task.status}`, { name });
  return html`<p role="status" class=${text ? "said-sent" : "unseen"}>${text}</p>`;
}

/** Return the ids of the latest exports of one's own, the one that was just asked for first. */
function useLatest(first) {
  const ask = (signal) => page({ limit: LATEST, created_by: me.value.uid }, { signal });
  const { data, error, again } = useAnswer(ask, [me.value.uid], { live: true, version: first });
  const found = data?.items.map(({ id }) => id);
  const ids = found && [...new Set([...(first ? [first] : []), ...found])].slice(0, LATEST);
  return { ids, problem: error, again };
}

function Latest({ ids, problem, again, fresh }) {
  if (!ids && problem) {
    const retry = html`<button type="button" onClick=${again}>${t("try-again")}</button>`;
    return html`<${ErrorNotice} error=${problem} title=${t("new.no-latest")} actions=${retry} />`;
  }
  if (!ids) return html`<${Skeleton} lines=${26} />`;
  if (!ids.length) return html`<${Empty} title=${t("new.empty")}><p>${t("new.empty-how")}</p><//>`;
  return html`
    <ul role="list" class="latest-list">
      ${ids.map((id) => html`<li key=${id} class=${id === fresh ? "fresh" : ""}><${ExportCard} id=${id} /></li>`)}
    </ul>`;
}
