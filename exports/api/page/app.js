// The exports page: who is signed in, and which view is seen.

import { href } from "./lib/route.js";
import { t } from "./lib/texts.js";
import { effect, html, render, signal, useErrorBoundary } from "./lib/ui.js";
import { ErrorNotice, Notice } from "./parts/notice.js";
import { toast } from "./parts/toast.js";
import { me, load, session, signIn, takeToken } from "./state/session.js";
import { follow } from "./state/stream.js";
import { Exports } from "./views/exports.js";
import { Frame, placeOf } from "./views/frame.js";
import { Messages } from "./views/messages.js";
import { New } from "./views/new.js";
import { Recurring } from "./views/recurring.js";
import { SignIn } from "./views/sign-in.js";

/** Each view: its name in the address, and in the menu, and there for operators. A new one is a file and a line here. */
const VIEWS = [
  { path: "", name: "nav.new", show: New },
  { path: "exports", name: "nav.exports", forOperators: "nav.all", show: Exports },
  { path: "recurring", name: "nav.recurring", show: Recurring },
  { path: "messages", name: "nav.messages", show: Messages },
];

/** Why it is not known who is signed in. */
const problem = signal(null);

function App() {
  const place = placeOf();
  const views = session.value === "in" || session.value === "over" ? VIEWS : [];
  return html`
    <${Frame} views=${views} place=${place}>
      <${Content} view=${VIEWS.find(({ path }) => path === place)} />
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
  return html`<${view.show} key=${view.path} />`;
}

async function start() {
  const token = takeToken();
  try {
    if (token) await signIn(token);
    else await load();
    problem.value = null;
  } catch (error) {
    problem.value = error;
    if (token && error.status === 401) {
      session.value = "out";
      toast(t("sign-in.wrong"), "error");
    }
  }
}

effect(() => {
  document.title = me.value ? `${t("app.name")} · ${me.value.uid}` : t("app.name");
});
start();
follow();
render(html`<${App} />`, document.getElementById("app"));
