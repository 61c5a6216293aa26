import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { t } from "../lib/texts.js";
import { Field } from "./field.js";

const PAUSE_MS = 400;

/**
 * For operators: choose whose things are shown. Everybody's, if `value` is empty.
 *
 * @param {{value: string, onChange: (uid: string) => void}} given `onChange` is called when nothing was
 *   typed for a moment.
 */
export function PersonFilter({ value, onChange }) {
  const [text, setText] = useState(value);
  const input = useRef(null);
  const clear = () => {
    setText("");
    onChange("");
    input.current.focus();
  };
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return undefined;
    const timer = setTimeout(() => onChange(text.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <${Field} label=${t("person")}>
      ${(control) => html`
        <div class="clearable">
          <input ...${control} ref=${input} type="text" autocomplete="off" spellcheck=${false} maxlength="200"
            placeholder=${t("person.all")} value=${text} onInput=${(event) => setText(event.target.value)} />
          ${text && html`
            <button type="button" class="icon" aria-label=${t("person.clear")} onClick=${clear}>×</button>`}
        </div>`}
    <//>`;
}
