import { explain } from "../lib/explain.js";
import { html, useState } from "../lib/ui.js";
import { t } from "../lib/texts.js";
import { Dialog } from "../parts/dialog.js";
import { Field } from "../parts/field.js";
import { keepPlace, me, session, signIn, signInAddress } from "../state/session.js";

const WRONG_TOKEN = 401;

/** Asks for a token, or leads to the page of this installation that makes one. */
export function SignIn() {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const elsewhere = signInAddress();
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get("token").trim();
    setBusy(true);
    try {
      await signIn(token);
    } catch (error) {
      setProblem(error.status === WRONG_TOKEN ? t("sign-in.wrong") : explain(error));
      setBusy(false);
    }
  };
  return html`
    <div class="sign-in">
      <p>${t(session.value === "over" ? "sign-in.over" : "sign-in.why")}</p>
      ${elsewhere
        ? html`<p><a class="button primary" href=${elsewhere} onClick=${keepPlace}>${t("sign-in.elsewhere")}</a></p>`
        : html`
          <form onSubmit=${submit}>
            <${Field} label=${t("sign-in.token")} hint=${t("sign-in.hint")} error=${problem}>
              ${(control) => html`<input ...${control} name="token" type="password" autocomplete="off" spellcheck=${false} required autofocus />`}
            <//>
            <button class="primary" disabled=${busy}>${t("sign-in.go")}</button>
          </form>`}
    </div>`;
}

/** Asks whether to take the token of a link, if somebody else is signed in: the link may be a trap. */
export function SwitchPerson({ uid, go, stay }) {
  return html`
    <${Dialog} title=${t("switch.title", { uid })} onClose=${stay}>
      <p>${t("switch.why", { uid, before: me.value.uid })}</p>
      <div class="actions">
        <button type="button" class="primary" onClick=${go}>${t("switch.go", { uid })}</button>
        <button type="button" onClick=${stay}>${t("switch.stay", { before: me.value.uid })}</button>
      </div>
    <//>`;
}
