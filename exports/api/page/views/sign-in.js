import { OFFLINE } from "../lib/api.js";
import { html, useState } from "../lib/ui.js";
import { t } from "../lib/texts.js";
import { Field } from "../parts/field.js";
import { keepPlace, session, signIn, signInAddress } from "../state/session.js";

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
      setProblem(t(error.code === OFFLINE ? "sign-in.offline" : "sign-in.wrong"));
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
