import { elapsed } from "../../lib/format.js";
import { href, route } from "../../lib/route.js";
import { has, t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { CopyButton } from "../../parts/copy.js";
import { Actions } from "../../parts/export-actions.js";
import { nameOf, Outcome, whatOf } from "../../parts/export-card.js";
import { Empty, ErrorNotice, Notice, Skeleton } from "../../parts/notice.js";
import { RepeatButton } from "../../parts/repeat-button.js";
import { Status } from "../../parts/status.js";
import { Time } from "../../parts/time.js";
import { WorkflowLink } from "../../parts/workflow-link.js";
import { useAnswer } from "../../state/answer.js";
import { exportOf, fetchExport } from "../../state/exports.js";
import { me } from "../../state/session.js";
import { typeNamed, typeTitle } from "../../state/types.js";
import { FileTools } from "./detail-file.js";
import { Deliveries, Record } from "./detail-record.js";
import { Preview } from "./preview.js";

/** One export with all that is known of it. `level`: of its heading. */
export function Detail({ id, level, onClose }) {
  const [done, setDone] = useState(0);
  const task = exportOf(id).value;
  const { error: problem, again } = useAnswer(() => fetchExport(id), [id], { live: true });
  const Title = `h${level}`;
  const title = task ? typeTitle(task.type) : t(problem?.code === "E_NOT_FOUND" ? "detail.unknown" : "detail.title");
  return html`
    <section class="card detail" aria-labelledby="detail-title">
      <header>
        <${Title} id="detail-title" tabindex="-1">${title}<//>
        ${task && html`<${Status} status=${task.status} />`}
        ${level === 1
          ? html`<button type="button" class="icon back" aria-label=${t("detail.back")} onClick=${onClose}>←</button>`
          : html`<button type="button" class="icon" aria-label=${t("close")} onClick=${onClose}>×</button>`}
      </header>
      ${problem && html`<${Problem} problem=${problem} again=${again} />`}
      ${!task && !problem && html`<${Skeleton} lines=${10} />`}
      ${task && problem?.code !== "E_NOT_FOUND" && html`
        <p class="export-of">${whatOf(task)}</p>
        <${Outcome} task=${task} />
        <div class="detail-actions">
          <${Actions} main task=${task} name=${nameOf(task)} onDone=${() => setDone(done + 1)} />
          <${FileTools} task=${task} />
          <${RepeatButton} task=${task} />
          <${WorkflowLink} task=${task} />
        </div>
        <${Warnings} task=${task} />
        ${task.status === "done" && html`<${Preview} key=${task.runId} task=${task} level=${level + 1} />`}
        <${Facts} task=${task} level=${level + 1} />
        <${Record} id=${id} level=${level + 1} version=${`${task.updatedAt} ${done}`} />
        <${Deliveries} id=${id} level=${level + 1} version=${task.status} />`}
    </section>`;
}

function Problem({ problem, again }) {
  if (problem.code === "E_NOT_FOUND") {
    const actions = html`<a class="button" href=${href(["exports"], Object.fromEntries(route.value.query))}>${t("detail.to-list")}</a>`;
    return html`<${Empty} title=${t("error.E_NOT_FOUND")} actions=${actions}><p>${t("detail.unknown-why")}</p><//>`;
  }
  return html`<${ErrorNotice} error=${problem} actions=${html`<button type="button" onClick=${again}>${t("try-again")}</button>`} />`;
}

/** What was changed in values, in words. */
function Warnings({ task }) {
  if (!task.warnings.length) return null;
  const columns = Object.fromEntries((typeNamed(task.type)?.columns ?? []).map(({ name, title }) => [name, title]));
  const said = ({ code, column, count }) => {
    const name = has(`warning.${code}`) ? `warning.${code}` : "warning.other";
    return t(name, { count, code, column: columns[column] ?? column });
  };
  return html`
    <${Notice} kind="warning" title=${t("warnings.title")}>
      <ul>${task.warnings.map((warning) => html`<li key=${`${warning.code} ${warning.column}`}>${said(warning)}</li>`)}</ul>
    <//>`;
}

function Facts({ task, level }) {
  const Heading = `h${level}`;
  const seconds = task.startedAt !== null && task.finishedAt !== null ? Math.max(0, task.finishedAt - task.startedAt) : null;
  const full = (at) => at !== null && html`<${Time} at=${at} full />`;
  const done = task.status === "done";
  const facts = {
    dataUntil: task.dataUntil !== null && full(task.dataUntil),
    who: me.value?.operator && task.createdBy,
    created: full(task.createdAt),
    started: full(task.startedAt),
    finished: full(task.finishedAt),
    seconds: seconds !== null && (seconds < 1000 ? t("facts.less") : elapsed(seconds)),
    attempts: task.retries > 0 && t("facts.failed-attempts", { count: task.retries, most: task.maxRetries }),
    link: done && full(task.expiresAt),
    kept: done && full(task.purgeAt),
    recurring: task.recurring && html`<a href=${href(["recurring"])}>${t("facts.recurring-link")}</a>`,
    sha256: task.sha256 && html`<${Copied} text=${task.sha256} of="SHA-256" />`,
    id: html`<${Copied} text=${task.id} of=${t("facts.id")} />`,
  };
  return html`
    <section class="detail-part">
      <${Heading}>${t("facts.title")}<//>
      <dl class="about">
        ${Object.entries(facts).filter(([, value]) => value).map(([name, value]) => html`
          <div key=${name} class=${name === "sha256" || name === "id" ? "long" : ""}>
            <dt>${t(`facts.${name}`)}</dt><dd>${value}</dd>
          </div>`)}
      </dl>
    </section>`;
}

function Copied({ text, of }) {
  return html`<code>${text}</code> <${CopyButton} text=${text} of=${of} />`;
}
