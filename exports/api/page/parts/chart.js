// Draws figures by day or by month: a small chart for each measure, because their scales differ.

import { periodText } from "../lib/cells.js";
import { figure, short, dayTick, monthTick } from "../lib/format.js";
import { places, ticks } from "../lib/scale.js";
import { t } from "../lib/texts.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";

const HEIGHT = 168;
const EDGE = { top: 10, right: 10, bottom: 26, left: 52 };
const MOST_COLUMNS = 130;
const WIDEST = 48; // of a column
const LABEL_WIDTH = 76;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

/** The charts of a preview, with a readout by pointer or arrow keys, and their figures as a table. */
export function Chart({ chart }) {
  const [width, setWidth] = useState(0);
  const [at, setAt] = useState(null);
  const box = useRef(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return html`
    <div class="charts" ref=${box}>
      ${chart.series.map((series, index) => html`
        <${One} key=${series.name} chart=${chart} series=${series} index=${index}
          width=${width} at=${at} setAt=${setAt} />`)}
      <details>
        <summary>${t("chart.table")}</summary>
        <${Table} chart=${chart} />
      </details>
    </div>`;
}

function One({ chart: { labels }, series: { title, values }, index, width, at, setAt }) {
  const last = labels.length - 1;
  const chosen = at === null ? null : Math.min(at, last);
  const said = (one) => `${periodText(labels[one])}: ${values[one] === null ? t("chart.nothing") : figure(values[one])}`;
  const byPointer = (event) => setAt(nearest(event, labels, width));
  const byKey = (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const from = chosen ?? (STEPS[event.key] > 0 ? -1 : last + 1);
    setAt(Math.max(0, Math.min(last, from + STEPS[event.key])));
  };
  // A slider that changes nothing: so a screen reader says each figure as one goes along.
  const slider = {
    tabindex: 0,
    role: "slider",
    "aria-readonly": "true",
    "aria-label": t("chart.label", { title, from: periodText(labels[0]), to: periodText(labels[last]) }),
    "aria-valuemin": 1,
    "aria-valuemax": labels.length,
    "aria-valuenow": (chosen ?? 0) + 1,
    "aria-valuetext": said(chosen ?? 0),
  };
  return html`
    <figure class="chart series-${index + 1}">
      <figcaption>
        <span class="chart-title">${title}</span>
        <span class="chart-readout">${chosen === null ? rangeOf(values) : said(chosen)}</span>
      </figcaption>
      <div class="chart-area" ...${slider} onKeyDown=${byKey} onBlur=${() => setAt(null)}
        onPointerMove=${byPointer} onPointerDown=${byPointer} onPointerLeave=${() => setAt(null)}>
        ${width > 0 && html`<${Drawing} labels=${labels} values=${values} width=${width} at=${chosen} />`}
      </div>
    </figure>`;
}

/** The least and the greatest figure. */
function rangeOf(values) {
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  if (!known.length) return "";
  return low === high ? figure(low) : t("chart.range", { low: short(low), high: short(high) });
}

/** Return the index of the label that is nearest to the pointer. */
function nearest({ clientX, currentTarget }, labels, width) {
  const { xs, step } = layout(labels, width);
  const x = clientX - currentTarget.getBoundingClientRect().left;
  let best = 0;
  xs.forEach((one, index) => {
    if (Math.abs(one + step / 2 - x) < Math.abs(xs[best] + step / 2 - x)) best = index;
  });
  return best;
}

/** Return the left edge of each label, and the width of one. */
function layout(labels, width) {
  const at = places(labels);
  const step = (width - EDGE.left - EDGE.right) / (at.at(-1) + 1);
  return { xs: at.map((one) => EDGE.left + one * step), step, count: at.at(-1) + 1, at };
}

function Drawing({ labels, values, width, at }) {
  const { xs, step, count, at: place } = layout(labels, width);
  const lines = ticks(values);
  const [low, high] = [lines[0], lines.at(-1)];
  const y = (value) => EDGE.top + ((high - value) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const middle = (index) => xs[index] + step / 2;
  const Figures = count <= MOST_COLUMNS ? Columns : Line;
  return html`
    <svg width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" aria-hidden="true">
      ${lines.map((line) => html`
        <line key=${line} class=${line === 0 ? "axis" : "grid"} x1=${EDGE.left} x2=${width - EDGE.right} y1=${y(line)} y2=${y(line)} />
        <text class="tick" x=${EDGE.left - 8} y=${y(line) + 4} text-anchor="end">${short(line)}</text>`)}
      ${labelled(labels, place, step, width).map((index) => html`
        <text key=${labels[index]} class="tick" x=${middle(index)} y=${HEIGHT - 8} text-anchor="middle">
          ${shortLabel(labels[index])}
        </text>`)}
      ${at !== null && html`
        <rect class="chosen" x=${middle(at) - Math.max(step, 2) / 2} width=${Math.max(step, 2)}
          y=${EDGE.top} height=${HEIGHT - EDGE.top - EDGE.bottom} />`}
      <${Figures} values=${values} place=${place} step=${step} middle=${middle} y=${y} at=${at} />
    </svg>`;
}

function Columns({ values, step, middle, y }) {
  const wide = Math.min(step * 0.76, WIDEST);
  return values.map((value, index) => value !== null && html`
    <rect key=${index} class="column" x=${middle(index) - wide / 2} width=${wide}
      y=${Math.min(y(value), y(0))} height=${Math.max(value === 0 ? 0 : 1, Math.abs(y(value) - y(0)))} />`);
}

function Line({ values, place, middle, y, at }) {
  const seen = at !== null && values[at] !== null;
  return html`
    <path class="stroke" d=${path(values, place, middle, y)} />
    ${seen && html`<circle class="dot" cx=${middle(at)} cy=${y(values[at])} r="4" />`}`;
}

/** A line with a gap where a day has no figure, or where days are left out. */
function path(values, place, middle, y) {
  let drawn = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const joined = index > 0 && values[index - 1] !== null && place[index] - place[index - 1] === 1;
    // A point between two gaps is a short stroke.
    drawn += `${joined ? "L" : "M"}${middle(index).toFixed(1)} ${y(value).toFixed(1)}${joined ? "" : "h.01"}`;
  });
  return drawn;
}

/** Return which labels there is room for. */
function labelled(labels, place, step, width) {
  const every = Math.max(1, Math.ceil(LABEL_WIDTH / step));
  const picked = [];
  labels.forEach((_, index) => {
    const x = EDGE.left + (place[index] + 0.5) * step;
    const before = picked.length ? place[picked.at(-1)] : -Infinity;
    if (place[index] - before >= every && x > EDGE.left - 20 && x < width - 24) picked.push(index);
  });
  return picked;
}

function shortLabel(label) {
  return label.length > 7 ? dayTick(Date.parse(label)) : monthTick(Date.parse(`${label}-01`));
}

function Table({ chart: { title, labels, series } }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("chart.table")}>
      <table>
        <thead>
          <tr>
            <th scope="col">${title}</th>
            ${series.map((one) => html`<th key=${one.name} scope="col" class="number">${one.title}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${labels.map((label, index) => html`
            <tr key=${label}>
              <th scope="row">${periodText(label)}</th>
              ${series.map(({ name, values: { [index]: value } }) => html`
                <td key=${name} class="number">${value === null ? "" : figure(value)}</td>`)}
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}
