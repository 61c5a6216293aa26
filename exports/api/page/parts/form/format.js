// The kind of file.

import { has, t } from "../../lib/texts.js";
import { html, useId } from "../../lib/ui.js";
import { Group } from "../field.js";
import { plainFormats } from "./choice.js";

/** The formats as cards, and whether the file is compressed. */
export function Format({ type, format, set, error }) {
  const id = useId();
  const plain = format.replace(/\.gz$/, "");
  const chosen = plainFormats(type).includes(plain) ? plain : format;
  const zipped = `${chosen}.gz`;
  const choose = (name) => set(format === zipped && type.formats.includes(`${name}.gz`) ? `${name}.gz` : name);
  return html`
    <${Group} legend=${t("new.format")} error=${error}>
      <div class="cards formats">
        ${plainFormats(type).map((name) => html`
          <label key=${name} class="choice card-choice">
            <input type="radio" name=${id} value=${name} checked=${name === chosen} onChange=${() => choose(name)} />
            <span class="choice-text">
              <span class="choice-name">${has(`format.${name}.name`) ? t(`format.${name}.name`) : name}</span>
              ${has(`format.${name}`) && html`<span class="soft">${t(`format.${name}`)}</span>`}
            </span>
          </label>`)}
      </div>
      <label class="check zip">
        <input type="checkbox" disabled=${!type.formats.includes(zipped)} checked=${format === zipped}
          onChange=${(event) => set(event.target.checked ? zipped : chosen)} />
        <span>${t("new.zip")} <span class="soft">${t(type.formats.includes(zipped) ? "new.zip-hint" : "new.zip-not")}</span></span>
      </label>
    <//>`;
}
