import { call } from "../../lib/api.js";
import { number } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html, useId } from "../../lib/ui.js";
import { ErrorNotice, Skeleton } from "../../parts/notice.js";
import { toast } from "../../parts/toast.js";
import { useAnswer, useDoing } from "../../state/answer.js";

const CHANNELS = ["email", "wechat", "webhook"];

/** By which channels one is told: a switch for each, saved at once. */
export function Channels({ choice, hooks }) {
  const doing = useDoing();
  const { data } = choice;
  const change = (name) => (event) => {
    const { checked } = event.target;
    // Without those that are not set up here any more, which would be refused.
    const others = data.notify.filter((one) => one !== name && data.available.includes(one));
    doing.run(async () => {
      choice.put(await call("PUT", "/me/notify", { body: { notify: checked ? [...others, name] : others } }));
      toast(t("told.saved"));
    });
  };
  const isOn = (name) => data.notify.includes(name) && data.available.includes(name);
  const lost = data && isOn("webhook") && hooks?.length === 0;
  return html`
    <section class="card">
      <h2>${t("told.title")}</h2>
      <p class="soft">${t("told.what")}</p>
      ${choice.error && html`<${ErrorNotice} error=${choice.error} actions=${html`<button type="button" onClick=${choice.again}>${t("try-again")}</button>`} />`}
      ${!data && !choice.error && html`<${Skeleton} lines=${6} />`}
      ${data && html`
        <ul role="list" class="lines">
          ${CHANNELS.map((name) => html`
            <${Channel} key=${name} name=${name} on=${isOn(name)} there=${data.available.includes(name)}
              busy=${doing.busy} onChange=${change(name)} />`)}
        </ul>
        ${doing.error && html`<${ErrorNotice} error=${doing.error} />`}
        ${lost && html`<p class="hint">${t("told.no-address")}</p>`}
        ${!CHANNELS.some(isOn) && html`<p class="hint">${t("told.nothing")}</p>`}`}
    </section>`;
}

function Channel({ name, on, there, busy, onChange }) {
  const id = useId();
  // Not `disabled` while it is saved, which would lose the focus.
  const toggle = (event) => {
    if (busy) event.preventDefault();
    else onChange(event);
  };
  return html`
    <li class="line channel">
      <input id=${id} type="checkbox" role="switch" class="switch" checked=${on} disabled=${!there}
        aria-describedby="${id}-what" onClick=${toggle} />
      <div>
        <label for=${id}>${t(`channel.${name}`)}</label>
        <p class="soft" id="${id}-what">${t(there ? `told.${name}` : "told.not-here")}</p>
      </div>
    </li>`;
}

/** How many messages of each template may still be sent by WeChat. */
export function Grants() {
  const found = useAnswer((signal) => call("GET", "/me/wechat-grants", { signal }));
  return html`
    <section class="card">
      <h2>${t("grants.title")}</h2>
      <p class="soft">${t("grants.what")}</p>
      ${found.error && html`<${ErrorNotice} error=${found.error} />`}
      ${!found.data && !found.error && html`<${Skeleton} lines=${3} />`}
      ${found.data?.length > 0 && html`
        <div class="scroll">
          <table>
            <thead><tr><th scope="col">${t("grants.tells")}</th><th scope="col" class="number">${t("grants.left")}</th></tr></thead>
            <tbody>
              ${found.data.map((one) => html`
                <tr key=${one.templateId}>
                  <th scope="row"><ul role="list">${one.events.map((event) => html`<li key=${event}>${t(`event.${event}`)}</li>`)}</ul></th>
                  <td class="number">${number(one.left)}</td>
                </tr>`)}
            </tbody>
          </table>
        </div>`}
      ${found.data?.some((one) => one.left === 0) && html`<p class="hint">${t("grants.none")}</p>`}
    </section>`;
}
