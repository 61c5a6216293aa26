import { at, call } from "../../lib/api.js";
import { cellText, isNumber, offsetOf } from "../../lib/cells.js";
import { advice, explain } from "../../lib/explain.js";
import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { Chart } from "../../parts/chart.js";
import { Skeleton } from "../../parts/notice.js";
import { useAnswer } from "../../state/answer.js";

/** What is in a file, before one downloads it: a chart of statistics, and the first rows. */
export function Preview({ task, level }) {
  const ask = (signal) => call("GET", at`/exports/${task.id}/preview`, { signal });
  const { data: preview, error, again } = useAnswer(ask, [task.id]);
  const problem = preview ? null : error;
  const Heading = `h${level}`;
  return html`
    <section class="detail-part">
      <${Heading}>${t("preview.title")}<//>
      ${problem && html`<${Missing} problem=${problem} again=${again} />`}
      ${!preview && !problem && html`<${Skeleton} lines=${12} />`}
      ${preview?.chart && html`<${Chart} chart=${preview.chart} />`}
      ${preview && html`<${Rows} preview=${preview} total=${task.rows} />`}
    </section>`;
}

function Missing({ problem, again }) {
  const known = problem.code === "E_PREVIEW" || problem.code === "E_EXPIRED" || problem.code === "E_STATE";
  return html`
    <p class="soft" role="status">
      ${explain(problem)} ${advice(problem)}
      ${!known && html` <button type="button" class="small" onClick=${again}>${t("try-again")}</button>`}
    </p>`;
}

function Rows({ preview: { columns, rows, cut }, total }) {
  if (!rows.length) return html`<p class="soft">${t(total ? "preview.too-large" : "preview.no-rows")}</p>`;
  const caption = rows.length < total ? t("preview.first", { count: rows.length, total }) : t("preview.all", { count: rows.length });
  const titles = Object.fromEntries(columns.map(({ name, title }) => [name, title]));
  return html`
    <div class="scroll preview-rows" tabindex="0" role="region" aria-label=${caption}>
      <table>
        <caption>${caption}${cut.length > 0 && html` ${t("preview.cut", { columns: cut.map((name) => titles[name] ?? name).join(", ") })}`}</caption>
        <thead>
          <tr>${columns.map((column) => html`<${Head} key=${column.name} column=${column} rows=${rows} />`)}</tr>
        </thead>
        <tbody>
          ${rows.map((row, index) => html`
            <tr key=${index}>
              ${columns.map(({ name, type }) => html`
                <td key=${name} class=${isNumber(type) ? "number" : ""}><div class="cell">${cellText(row[name], type)}</div></td>`)}
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}

function Head({ column: { name, title, type }, rows }) {
  const offset = type === "datetime" ? offsetOf(rows, name) : null;
  return html`<th scope="col" class=${isNumber(type) ? "number" : ""}>${title}${offset && html` <span class="note">UTC${offset}</span>`}</th>`;
}
