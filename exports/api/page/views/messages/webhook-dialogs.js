import { at, call } from "../../lib/api.js";
import { explain } from "../../lib/explain.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { Dialog } from "../../parts/dialog.js";
import { Field } from "../../parts/field.js";
import { ErrorNotice, Notice } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useDoing } from "../../state/answer.js";

/** Asks for an address. */
export function Add({ onClose, onAdded }) {
  const doing = useDoing();
  const submit = (event) => {
    event.preventDefault();
    const url = new FormData(event.target).get("url").trim();
    doing.run(async () => onAdded(await call("POST", "/me/webhooks", { body: { url } })));
  };
  // Of the address: it has another form, or can't be reached.
  const wrong = doing.error?.code === "E_WEBHOOK_ADDRESS" || doing.error?.fields?.url;
  const form = useRef(null);
  useEffect(() => {
    if (wrong) form.current.querySelector("input").focus();
  }, [doing.error]);
  return html`
    <${Dialog} title=${t("hooks.add-title")} onClose=${onClose}>
      <form ref=${form} onSubmit=${submit}>
        <p>${t("hooks.what")}</p>
        <${Field} label=${t("hooks.url")} hint=${t("hooks.url-hint")} error=${wrong ? explain(doing.error) : null}>
          ${(control) => html`
            <input ...${control} name="url" type="url" required data-focus autocomplete="off" spellcheck=${false} placeholder="https://" />`}
        <//>
        ${doing.error && !wrong && html`<${ErrorNotice} error=${doing.error} />`}
        <div class="actions">
          <button class="primary" aria-disabled=${doing.busy}>${t("hooks.add")}</button>
          <button type="button" onClick=${onClose}>${t("cancel")}</button>
        </div>
      </form>
    <//>`;
}

/** Shows a secret, once. It has no × and no Escape, so that nobody closes it by mistake. */
export function Secret({ hook, rotated = false, onClose }) {
  const [copied, setCopied] = useState(false);
  const input = useRef(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(hook.secret);
      setCopied(true);
    } catch {
      input.current.select(); // Then it is copied by hand.
    }
  };
  return html`
    <${Dialog} title=${t("hooks.secret-title")}>
      <p class="hook-url">${hook.url}</p>
      <${Notice} kind="warning" title=${t("hooks.secret-once")}><p>${t("hooks.secret-use")}</p><//>
      <${Field} label=${t("hooks.secret")}>
        ${(control) => html`
          <div class="secret">
            <input ...${control} ref=${input} class="code" readonly value=${hook.secret} onFocus=${(event) => event.target.select()} />
            <button type="button" data-focus onClick=${copy}>${t(copied ? "copied" : "copy")}</button>
          </div>`}
      <//>
      <p class="unseen" role="status">${copied ? t("copied") : ""}</p>
      ${rotated && html`<p>${t("hooks.secret-old")}</p>`}
      <div class="actions"><button type="button" class="primary" onClick=${onClose}>${t("hooks.secret-done")}</button></div>
    <//>`;
}

/** Asks whether a new secret is to be made. */
export function Rotate({ hook, onClose, onRotated }) {
  const doing = useDoing();
  const rotate = () => doing.run(async () => onRotated(await call("POST", at`/me/webhooks/${hook.id}/rotate`)));
  return html`
    <${Dialog} title=${t("hooks.rotate-title")} onClose=${onClose}>
      <p class="hook-url">${hook.url}</p>
      <p>${t("hooks.rotate-what")}</p>
      ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
      <div class="actions">
        <button type="button" class="primary" data-focus aria-disabled=${doing.busy} onClick=${rotate}>${t("hooks.rotate-go")}</button>
        <button type="button" onClick=${onClose}>${t("cancel")}</button>
      </div>
    <//>`;
}

/** Asks whether a webhook is to be removed. */
export function Remove({ hook, onClose, onRemoved }) {
  const doing = useDoing();
  const remove = () => doing.run(async () => {
    await call("DELETE", at`/me/webhooks/${hook.id}`);
    toast(t("hooks.removed"));
    onRemoved();
  });
  return html`
    <${Dialog} title=${t("hooks.remove-title")} onClose=${onClose}>
      <p>${t("hooks.remove-what", { address: hook.url })}</p>
      ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
      <div class="actions">
        <button type="button" class="danger" aria-disabled=${doing.busy} onClick=${remove}>${t("hooks.remove")}</button>
        <button type="button" data-focus onClick=${onClose}>${t("cancel")}</button>
      </div>
    <//>`;
}
