import { at, call } from "../../lib/api.js";
import { moment } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { Empty, ErrorNotice, Notice, Skeleton } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useDoing } from "../../state/answer.js";
import { Answer } from "./answers.js";
import { Add, Remove, Rotate, Secret } from "./webhook-dialogs.js";

/** The addresses of a person that get messages. */
export function Webhooks({ hooks }) {
  const [adding, setAdding] = useState(false);
  const [secret, setSecret] = useState(null);
  const { data, error } = hooks;
  const added = (made) => {
    setAdding(false);
    hooks.again();
    if (made.secret) setSecret({ hook: made });
    else toast(t("hooks.had"));
  };
  const rotated = (made) => setSecret({ hook: made, rotated: true });
  const add = html`<button type="button" onClick=${() => setAdding(true)}>${t("hooks.add")}</button>`;
  return html`
    <section class="card">
      <header><h2>${t("hooks.title")}</h2>${data?.length > 0 && add}</header>
      ${error && html`<${ErrorNotice} error=${error} />`}
      ${!data && !error && html`<${Skeleton} lines=${4} />`}
      ${data?.length === 0 && html`<${Empty} title=${t("hooks.none")} actions=${add}><p>${t("hooks.what")}</p><//>`}
      ${data?.length > 0 && html`
        <ul role="list" class="lines">
          ${data.map((hook) => html`<${Webhook} key=${hook.id} hook=${hook} onChange=${hooks.again} onRotated=${rotated} onRemoved=${() => hooks.put((before) => before.filter(({ id }) => id !== hook.id))} />`)}
        </ul>`}
      ${adding && html`<${Add} onClose=${() => setAdding(false)} onAdded=${added} />`}
      ${secret && html`<${Secret} ...${secret} onClose=${() => setSecret(null)} />`}
    </section>`;
}

function Webhook({ hook, onChange, onRotated, onRemoved }) {
  const [open, setOpen] = useState(null);
  const [tried, setTried] = useState(null);
  const doing = useDoing();
  const { switchedOff: off, failingSince: failing } = hook;
  const test = () => doing.run(async () => {
    setTried(null);
    setTried(await call("POST", at`/me/webhooks/${hook.id}/test`));
  });
  const enable = () => doing.run(async () => {
    await call("POST", at`/me/webhooks/${hook.id}/enable`);
    toast(t("hooks.enabled"));
    onChange();
  });
  const close = () => setOpen(null);
  const state = off ? "off" : failing ? "failing" : "on";
  return html`
    <li class="line hook">
      <div class="line-main">
        <div class="hook-head">
          <h3 class="hook-url">${hook.url}</h3>
          <span class="status ${state === "failing" ? "paused" : state}">${t(`hooks.${state}`)}</span>
        </div>
        <p class="soft">${t("hooks.added", { time: moment(hook.createdAt) })}</p>
        ${off && html`
          <${Notice} kind="warning" title=${t("hooks.off-since", { time: moment(off.at) })}>
            <p>${t(off.reason.includes("410") ? "hooks.off-gone" : "hooks.off-failing")}</p>
            <p>${t("hooks.off-what")}</p>
          <//>`}
        ${!off && failing && html`<${Notice} kind="warning"><p>${t("hooks.failing-since", { time: moment(failing) })}</p><//>`}
        <div class="actions">
          ${off && html`<button type="button" class="small primary" aria-disabled=${doing.busy} onClick=${enable}>${t("hooks.enable")}</button>`}
          <button type="button" class="small" aria-disabled=${doing.busy} onClick=${test}>${t(doing.busy ? "hooks.testing" : "hooks.test")}</button>
          <button type="button" class="small quiet" onClick=${() => setOpen("rotate")}>${t("hooks.rotate")}</button>
          <button type="button" class="small quiet danger-text" onClick=${() => setOpen("remove")}>${t("hooks.remove")}</button>
        </div>
        <div role="status">${tried && html`<${Tried} tried=${tried} />`}</div>
        ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
      </div>
      ${open === "rotate" && html`<${Rotate} hook=${hook} onClose=${close} onRotated=${(made) => { close(); onRotated(made); }} />`}
      ${open === "remove" && html`<${Remove} hook=${hook} onClose=${close} onRemoved=${onRemoved} />`}
    </li>`;
}

function Tried({ tried }) {
  return html`
    <div class="tried ${tried.delivered ? "good" : "bad"}">
      <p><strong>${t(tried.delivered ? "hooks.tested" : "hooks.test-failed")}</strong></p>
      <${Answer} verdict=${tried.delivered ? "delivered" : "again"} status=${tried.status} ms=${tried.milliseconds}
        reason=${tried.reason} answer=${tried.answer} />
    </div>`;
}
