// The exports that the page knows. Each is a signal with the export as `GET /exports/{id}` says it.

import { at, call } from "../lib/api.js";
import { signal } from "../lib/ui.js";
import { tell, whenTold } from "./tabs.js";

/** @type {Map<string, import("../lib/ui.js").Signal>} */
const known = new Map();
/** The last event of each export that no view has asked for. */
const unknown = new Map();
const SOON_MS = 500;
let soon = null;

/** Counts up when views should ask anew: there is a new export, or something may have been missed. */
export const asked = signal(0);

/** Counts up when an export has got another status: a list of one status may have changed. */
export const moved = signal(0);

whenTold("export", (task) => {
  if (!exportOf(task.id).peek()) askAnewSoon();
  put(task);
});

/** Return the signal of an export; its value is null until it is known. */
export function exportOf(id) {
  if (!known.has(id)) known.set(id, signal(null));
  return known.get(id);
}

/** Take in an export as the API says it, but for its link, unless what is known is newer. Return its signal. */
export function put({ downloadUrl: _, ...task }) {
  const found = exportOf(task.id);
  const before = found.peek();
  if (!before || (task.updatedAt ?? 0) >= (before.updatedAt ?? 0)) {
    found.value = task;
    if (before && before.status !== task.status) moved.value += 1;
  }
  // It may have ended while this answer was on its way.
  const missed = unknown.get(task.id);
  unknown.delete(task.id);
  if (missed) takeEvent(missed);
  return found;
}

export function isOpen(task) {
  return task.status === "pending" || task.status === "running";
}

/** Return a page of exports: `{items, next}`. See `GET /exports` for the filters. */
export async function page(filters, { signal: stop } = {}) {
  const found = await call("GET", "/exports", { query: filters, signal: stop });
  found.items.forEach(put);
  return found;
}

/** Ask for an export anew. */
export async function fetchExport(id) {
  return put(await call("GET", at`/exports/${id}`));
}

/** Do something to an export: "cancel" or "retry". All tabs see what came of it. */
export async function act(id, action, body) {
  return changed(await call("POST", at`/exports/${id}/${action}`, { body }));
}

export async function removeFile(id) {
  return changed(await call("DELETE", at`/exports/${id}/file`));
}

/** Ask for a new export; `key` makes it safe to send the same again. Return it, with `joined`. */
export async function create(request, key, { force = false } = {}) {
  const { joined, ...task } = await call("POST", "/exports", { body: request, key, query: { force: force || null } });
  changed(task);
  return { ...task, joined };
}

/**
 * Download the file of an export by a new link. While the one that people see is good, the new one is for
 * this download alone. After that, it takes its place and counts down again.
 */
export async function download({ id, expiresAt }) {
  if (expiresAt === null || expiresAt > Date.now()) {
    const { url } = await call("GET", at`/exports/${id}/file`, { query: { as: "json" } });
    location.assign(url);
  } else {
    const renewed = await call("POST", at`/exports/${id}/renew`);
    changed(renewed);
    location.assign(renewed.downloadUrl);
  }
}

/** Take in an event of the stream, which says less than the export. */
export function takeEvent(event) {
  const before = exportOf(event.id).peek();
  if (!before) {
    if (!unknown.has(event.id)) askAnewSoon();
    unknown.set(event.id, event);
    return;
  }
  const { id, status, stage, rows, total, bytes, waitingFor, retries, nextRunAt, error, updatedAt } = event;
  if ((updatedAt ?? 0) <= (before.updatedAt ?? 0)) return;
  if (status !== before.status || !isOpen(event)) {
    // Without an answer, the stream is lost as well, and all is asked for again after it.
    fetchExport(id).catch(() => {});
  } else {
    const progress = { stage, rows, total, bytes, waitingFor };
    put({ ...before, progress, retries, nextRunAt, error, updatedAt });
  }
}

/** Let all views ask anew. */
export function askAnew() {
  asked.value += 1;
}

function askAnewSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    askAnew();
  }, SOON_MS);
}

function changed({ downloadUrl: _, ...task }) {
  tell("export", task);
  return put(task);
}
