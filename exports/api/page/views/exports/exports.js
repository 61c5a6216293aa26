import { go, href, route } from "../../lib/route.js";
import { t } from "../../lib/texts.js";
import { html, signal, useEffect, useMemo, useRef } from "../../lib/ui.js";
import { asked, moved } from "../../state/exports.js";
import { makeListing } from "../../state/listing.js";
import { me } from "../../state/session.js";
import { Detail } from "./detail.js";
import { asFilters, chosen, Filters } from "./filters.js";
import { List, useSearch } from "./list.js";

const SOON_MS = 500;
/** Lines of a list may move as long as one is no further down than this (pixels). */
const TOP = 120;

const wide = signal(true);
const room = matchMedia("(min-width: 1000px)");
const measure = () => { wide.value = room.matches; };
room.addEventListener("change", measure);
measure();

/** All exports, and one of them: beside the list, or in its place where there is little room. */
export function Exports() {
  const id = route.value.path[1];
  const wanted = chosen();
  const filters = asFilters(wanted);
  const key = JSON.stringify(filters);
  const listing = useMemo(makeListing, []);
  const search = useSearch(listing, wanted.q);
  useEffect(() => { listing.begin(filters); }, [key]);
  useEffect(() => listing.end, []);
  useRefresh(listing, Boolean(filters.status));
  useFocus(id);
  const alone = id && !wide.value;
  const head = html`
    <header class="heading">
      <h1>${t(me.value?.operator ? "nav.all" : "nav.exports")}</h1>
      <a class="button primary" href=${href([])}>${t("nav.new")}</a>
    </header>`;
  return html`
    <div class="exports ${id ? "with-detail" : ""}" onKeyDown=${(event) => id && closeByKey(event)}>
      <section class="card exports-all" hidden=${alone} aria-label=${alone ? undefined : t("exports.caption")}>
        ${head}
        <${Filters} found=${found(search, wanted.q)} />
        <${Fresh} listing=${listing} />
        <${List} listing=${listing} search=${search} open=${id} chosenAny=${Object.values(wanted).some(Boolean)} />
      </section>
      ${id && html`<${Detail} key=${id} id=${id} level=${alone ? 1 : 2} onClose=${close} />`}
    </div>`;
}

/** Take in what is new. Where one reads further down, a button says so instead. */
function useRefresh(listing, byStatus) {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const timer = setTimeout(() => listing.refresh(() => scrollY <= TOP), byStatus ? SOON_MS : 0);
    return () => clearTimeout(timer);
  }, [asked.value, byStatus && moved.value]);
}

function Fresh({ listing }) {
  const { count } = listing.fresh.value ?? {};
  const show = () => {
    listing.apply();
    scrollTo({ top: 0 });
  };
  return html`
    <div class="fresh-exports" role="status">
      ${count > 0 && html`<button type="button" class="primary" onClick=${show}>${t("exports.fresh", { count })}</button>`}
    </div>`;
}

function found({ shown, looked, looking, all }, words) {
  if (!words) return "";
  return t(looking ? "filters.looking" : all ? "filters.found-all" : "filters.found", { count: shown.length, looked });
}

function close() {
  go(["exports"], Object.fromEntries(route.value.query));
}

function closeByKey(event) {
  if (event.key !== "Escape" || event.defaultPrevented || event.target.closest("dialog, input, select")) return;
  close();
}

/** Move the focus to an export that is opened, and back to its line when it is closed. */
function useFocus(id) {
  const before = useRef(id);
  const top = useRef(0);
  if (id && !before.current) top.current = scrollY;
  useEffect(() => {
    const [last, current] = [before.current, id];
    before.current = id;
    if (current === last) return;
    if (current) {
      document.getElementById("detail-title")?.focus({ preventScroll: wide.value });
      if (!wide.value) scrollTo({ top: 0 });
    } else {
      if (!wide.value) scrollTo({ top: top.current });
      document.getElementById(`row-${last}`)?.focus({ preventScroll: true });
    }
  }, [id]);
}
