// A list of exports, page by page, that takes in new ones without moving what one reads.

import { batch, signal } from "../lib/ui.js";
import { exportOf, fetchExport, isOpen, page } from "./exports.js";

const PER_PAGE = 50;
const NOTHING = { ids: [], next: null, loaded: false, busy: false, problem: null };

/**
 * Return a list, which is empty until `begin`.
 *
 * `list`: a signal with the `ids`, newest first, `next` (null at the end), whether a first answer is
 * there (`loaded`), whether one is on its way (`busy`), and what went wrong (`problem`).
 * `fresh`: a signal with what the list is to become, if there are new exports; else null.
 * `arrived`: the ids that came while one looked.
 */
export function makeListing() {
  const list = signal(NOTHING);
  const fresh = signal(null);
  const arrived = new Set();
  let filters = {};
  let stop = new AbortController();

  /** Show the exports that these filters of `GET /exports` find. */
  function begin(wanted) {
    stop.abort();
    stop = new AbortController();
    filters = wanted;
    arrived.clear();
    batch(() => {
      list.value = NOTHING;
      fresh.value = null;
    });
    return more();
  }

  /** Ask for the next page. */
  async function more(limit = PER_PAGE) {
    const { signal: stopped } = stop;
    list.value = { ...list.value, busy: true, problem: null };
    try {
      const found = await page({ ...filters, after: list.value.next, limit }, { signal: stopped });
      if (stopped.aborted) return;
      const ids = [...new Set([...list.value.ids, ...idsOf(found)])];
      list.value = { ids, next: found.next, loaded: true, busy: false, problem: null };
    } catch (problem) {
      if (!stopped.aborted) list.value = { ...list.value, busy: false, problem };
    }
  }

  /** Ask for the newest page again. `atTop`: whether the list may move. */
  async function refresh(atTop) {
    const { signal: stopped } = stop;
    if (list.value.problem) await more();
    if (!list.value.loaded) return;
    try {
      const found = await page({ ...filters, limit: PER_PAGE }, { signal: stopped });
      if (stopped.aborted) return;
      const before = new Set(list.value.ids);
      fresh.value = joined(list.value, idsOf(found), found.next);
      fresh.value.count = fresh.value.ids.filter((id) => !before.has(id)).length;
      if (atTop()) apply();
      else if (!fresh.value.count) fresh.value = null;
      // The others may have ended while nothing was heard of them.
      const seen = new Set(idsOf(found));
      const open = list.value.ids.filter((id) => !seen.has(id) && isOpen(exportOf(id).peek()));
      await Promise.all(open.map(fetchExport));
    } catch {
      // The connection is lost, and says so; after it, this is asked for again.
    }
  }

  /** Show what is new. */
  function apply() {
    const { ids, next } = fresh.value;
    const before = new Set(list.value.ids);
    for (const id of ids) if (!before.has(id)) arrived.add(id);
    batch(() => {
      list.value = { ...list.value, ids, next };
      fresh.value = null;
    });
  }

  return { list, fresh, arrived, begin, more, refresh, apply, end: () => stop.abort() };
}

/** Put the newest page in place of the beginning of a list. */
function joined({ ids, next }, newest, nextOfNewest) {
  const common = newest.findLast((id) => ids.includes(id));
  // So many are new that the list would have a gap.
  if (common === undefined) return { ids: newest, next: nextOfNewest };
  const rest = ids.slice(ids.indexOf(common) + 1).filter((id) => !newest.includes(id));
  return { ids: [...newest, ...rest], next: rest.length ? next : nextOfNewest };
}

function idsOf({ items }) {
  return items.map(({ id }) => id);
}
