// Which columns a file has, and in which order.

import { list } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { allColumns, areAll } from "./choice.js";

/** A part of the form that opens. `columns`: all of them, `{name, on}`; `set` takes them anew. */
export function Columns({ type, columns, set, error }) {
  const [said, setSaid] = useState("");
  const moved = useRef(null);
  const element = useRef(null);
  const titles = Object.fromEntries(type.columns.map(({ name, title }) => [name, title]));
  const titleOf = (name) => titles[name] ?? name;
  useEffect(() => {
    // The browser forgets where one was when a line moves.
    if (moved.current) element.current.querySelector(`[data-move="${CSS.escape(moved.current)}"]`)?.focus();
    moved.current = null;
  });
  useEffect(() => {
    if (error) element.current.open = true;
  }, [error]);
  const move = (index, by) => {
    const to = index + by;
    if (to < 0 || to >= columns.length) return;
    const anew = [...columns];
    anew.splice(to, 0, ...anew.splice(index, 1));
    moved.current = `${by} ${columns[index].name}`;
    setSaid(t("new.columns.moved", { title: titleOf(columns[index].name), position: to + 1, count: columns.length }));
    set(anew);
  };
  const toggle = (index) => set(columns.map((one, at) => (at === index ? { ...one, on: !one.on } : one)));
  const on = columns.filter((one) => one.on).map(({ name }) => titleOf(name));
  const isAll = areAll(type, columns);
  return html`
    <details class="columns field ${error ? "wrong" : ""}" ref=${element}>
      <summary>
        <span class="summary-name">${t("new.columns")}</span>
        <span class="soft">${isAll ? t("new.columns.all", { count: columns.length }) : t("new.columns.some", { chosen: on.length, count: columns.length })}</span>
        ${!isAll && html`<span class="soft summary-more">${list(on)}</span>`}
      </summary>
      <p class="hint">${t("new.columns.hint")}</p>
      <ol role="list" class="column-list">
        ${columns.map(({ name, on: isOn }, index) => html`
          <li key=${name}>
            <label class="check"><input type="checkbox" checked=${isOn} onChange=${() => toggle(index)} /><span>${titleOf(name)}</span></label>
            <span class="moves">
              <${Move} by=${-1} name=${name} title=${titleOf(name)} off=${index === 0} move=${() => move(index, -1)} />
              <${Move} by=${1} name=${name} title=${titleOf(name)} off=${index === columns.length - 1} move=${() => move(index, 1)} />
            </span>
          </li>`)}
      </ol>
      <div class="actions">
        <button type="button" class="small" aria-disabled=${isAll} onClick=${() => { set(allColumns(type)); setSaid(t("new.columns.all", { count: columns.length })); }}>
          ${t("new.columns.reset")}
        </button>
      </div>
      <p class="unseen" role="status">${said}</p>
      ${error && html`<p class="field-error">${error}</p>`}
    </details>`;
}

/** It stays in reach of the keyboard at the end of the list, where it does nothing. */
function Move({ by, name, title, off, move }) {
  const label = t(by < 0 ? "new.columns.up" : "new.columns.down", { title });
  return html`<button type="button" class="icon" data-move="${by} ${name}" aria-label=${label} aria-disabled=${off} onClick=${move}>${by < 0 ? "↑" : "↓"}</button>`;
}
