import { explain } from "../lib/explain.js";
import { clockTime } from "../lib/format.js";
import { href, route } from "../lib/route.js";
import { choose, language, LANGUAGES, t } from "../lib/texts.js";
import { html, useEffect, useRef } from "../lib/ui.js";
import { Dialog } from "../parts/dialog.js";
import { toast, Toasts } from "../parts/toast.js";
import { now } from "../state/clock.js";
import { me, session, signOut } from "../state/session.js";
import { connection, connectedAt, nextTry, tryNow } from "../state/stream.js";
import { SignIn } from "./sign-in.js";

/** What is around every view: the heading, the way to the others, and whether we are connected. */
export function Frame({ views, place, children }) {
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    // For those who hear the page: say that there is another view. Not when the page was just loaded.
    if (!first.current) main.current.focus({ preventScroll: true });
    first.current = false;
  }, [place]);
  const over = session.value === "over";
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>${t("skip")}</a>
    <header class="top">
      <a class="brand" href=${href([])}><${Mark} />${t("app.name")}</a>
      <nav aria-label=${t("nav.label")}>
        ${views.map(({ path, name, forOperators = name }) => html`
          <a key=${path} href=${href(path ? [path] : [])} aria-current=${place === path ? "page" : undefined}>${t(me.value?.operator ? forOperators : name)}</a>`)}
      </nav>
      <${Account} />
    </header>
    <${Connection} />
    <main id="main" ref=${main} tabindex="-1">${children}</main>
    <${Toasts} />
    ${over && html`<${Dialog} title=${t("sign-in.title")}><${SignIn} /><//>`}`;
}

function Mark() {
  return html`
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" /><path d="M16 6.5v12.5m-5.500-5 5.500 5.500 5.500-5.500M8 24.500h16" />
    </svg>`;
}

function Account() {
  return html`
    <div class="account">
      <select aria-label=${t("language")} value=${language.value} onChange=${(event) => choose(event.target.value)}>
        ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option value=${tag} lang=${tag}>${name}</option>`)}
      </select>
      ${me.value && html`
        <span class="who" title=${t("signed-in", { uid: me.value.uid })}>
          ${me.value.uid}${me.value.operator && me.value.uid !== "operator" && html` <span class="note">${t("operator")}</span>`}
        </span>
        <button type="button" class="quiet" onClick=${() => signOut().catch((error) => toast(explain(error), "error"))}>${t("sign-out")}</button>`}
    </div>`;
}

function Connection() {
  if (connection.value !== "lost") return null;
  const seconds = Math.max(0, Math.ceil((nextTry.value - now.value) / 1000));
  return html`
    <div class="offline" role="status">
      <strong>${t("offline.title")}</strong>
      ${connectedAt.value && html`<span>${t("offline.since", { time: clockTime(connectedAt.value) })}</span>`}
      <span aria-hidden="true">${seconds ? t("offline.next", { count: seconds }) : t("offline.now")}</span>
      <button type="button" class="small" onClick=${tryNow}>${t("offline.try")}</button>
    </div>`;
}

/** The name of the view in the address. */
export function placeOf() {
  return route.value.path[0] ?? "";
}
