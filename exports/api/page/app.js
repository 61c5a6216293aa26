// The exports page: who is signed in, and which view is seen.

import { explain } from "./lib/explain.js";
import { href } from "./lib/route.js";
import { t } from "./lib/texts.js";
import { effect, html, render, signal, useEffect, useErrorBoundary, useSignal } from "./lib/ui.js";
import { ErrorNotice, Notice } from "./parts/notice.js";
import { toast } from "./parts/toast.js";
import { hasToken, load, me, ownerOf, session, signIn, takeToken } from "./state/session.js";
import { follow } from "./state/stream.js";
import { Frame, placeOf } from "./views/frame.js";
import { New } from "./views/new/new.js";
import { SignIn, SwitchPerson } from "./views/sign-in.js";

/**
 * Each view: its name in the address, and in the menu, and there for operators. A new one is a folder
 * and a line here. All but the first are fetched after it, so that it can be used sooner.
 */
const VIEWS = [
  { path: "", name: "nav.new", show: signal(New) },
  later("exports", "nav.exports", async () => (await import("./views/exports/exports.js")).Exports, "nav.all"),
  later("recurring", "nav.recurring", async () => (await import("./views/recurring/recurring.js")).Recurring),
  later("messages", "nav.messages", async () => (await import("./views/messages/messages.js")).Messages),
];

function later(path, name, load, forOperators) {
  return { path, name, forOperators, load, show: signal(null) };
}

const WRONG_TOKEN = 401;
/** Why it is not known who is signed in. */
const problem = signal(null);
/** The token of a link, until it has been used. */
const token = signal(null);
/** Whose it is, if somebody else is signed in. */
const other = signal(null);

function App() {
  const place = placeOf();
  const views = session.value === "in" || session.value === "over" ? VIEWS : [];
  return html`
    <${Frame} views=${views} place=${place}>
      <${Content} view=${VIEWS.find(({ path }) => path === place)} />
      ${other.value && html`<${SwitchPerson} uid=${other.value} go=${() => enter().catch(wrong)} stay=${stay} />`}
    <//>`;
}

function Content({ view }) {
  const [broken] = useErrorBoundary((error) => console.error(error));
  if (broken) {
    const reload = html`<button type="button" onClick=${() => location.reload()}>${t("reload")}</button>`;
    return html`<${Notice} kind="error" title=${t("broken")} actions=${reload} />`;
  }
  if (session.value === "asking") {
    if (!problem.value) return html`<p class="loading">${t("loading")}</p>`;
    const retry = html`<button type="button" onClick=${start}>${t("try-again")}</button>`;
    return html`
      <section class="card narrow">
        <h1>${t("app.name")}</h1>
        <${ErrorNotice} error=${problem.value} actions=${retry} />
      </section>`;
  }
  if (session.value === "out") {
    return html`<section class="card narrow"><h1>${t("sign-in.title")}</h1><${SignIn} /></section>`;
  }
  if (!view) {
    const back = html`<a class="button" href=${href(["exports"])}>${t("unknown-place.back")}</a>`;
    return html`<section class="card narrow"><h1>${t("unknown-place")}</h1><p>${back}</p></section>`;
  }
  if (!view.show.value) return html`<${Fetched} key=${view.path} view=${view} />`;
  return html`<${view.show.value} key=${view.path} />`;
}

/** Stands in for a view until its modules are there. */
function Fetched({ view }) {
  const failed = useSignal(false);
  useEffect(() => {
    fetchView(view).catch(() => {
      failed.value = true;
    });
  }, []);
  if (!failed.value) return html`<p class="loading">${t("loading")}</p>`;
  // There is a new version, or no connection.
  const reload = html`<button type="button" onClick=${() => location.reload()}>${t("reload")}</button>`;
  return html`<${Notice} kind="error" title=${t("no-view")} actions=${reload} />`;
}

async function fetchView(view) {
  view.show.value ??= await view.load();
}

/** Fetch all views while nobody waits, so that they are there when the connection is not. */
async function fetchOthers() {
  for (const view of VIEWS) await fetchView(view).catch(() => {});
}


/** Find out who is signed in, or sign in by the token in the address. */
async function start() {
  if (hasToken()) token.value = takeToken();
  try {
    await load();
    if (token.value) await arrive();
    problem.value = null;
  } catch (error) {
    problem.value = error;
    if (token.value && error.status === WRONG_TOKEN) {
      token.value = null;
      toast(t("sign-in.wrong"), "error");
    }
  }
}

async function arrive() {
  if (session.value === "in") {
    const { uid } = await ownerOf(token.value);
    if (uid !== me.value.uid) {
      other.value = uid;
      return;
    }
  }
  await enter();
}

async function enter() {
  await signIn(token.value);
  token.value = null;
}

function wrong(error) {
  stay();
  toast(explain(error), "error");
}

function stay() {
  token.value = null;
  other.value = null;
}

effect(() => {
  const view = VIEWS.find(({ path }) => path === placeOf());
  document.title = view && me.value ? `${t(view.name)} · ${t("app.name")}` : t("app.name");
});
// A link to sign in may be opened in a tab that shows the page already.
addEventListener("hashchange", () => hasToken() && start());
start().then(fetchOthers);
follow();
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
