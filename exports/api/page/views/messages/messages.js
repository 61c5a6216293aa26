import { call } from "../../lib/api.js";
import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { useAnswer } from "../../state/answer.js";
import { Channels, Grants } from "./channels.js";
import { Deliveries } from "./deliveries.js";
import { Webhooks } from "./webhooks.js";

/** How one is told of exports, and what was sent. */
export function Messages() {
  const choice = useAnswer((signal) => call("GET", "/me/notify", { signal }));
  const hooks = useAnswer((signal) => call("GET", "/me/webhooks", { signal }));
  const available = choice.data?.available ?? [];
  return html`
    <h1>${t("nav.messages")}</h1>
    <div class="settings">
      <div>
        <${Channels} choice=${choice} hooks=${hooks.data} />
        ${available.includes("wechat") && html`<${Grants} />`}
      </div>
      ${available.includes("webhook") && html`<${Webhooks} hooks=${hooks} />`}
    </div>
    <${Deliveries} />`;
}
