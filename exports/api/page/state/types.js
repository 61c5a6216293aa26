// What can be exported, as `GET /types` says it: asked for once.

import { call } from "../lib/api.js";
import { keep, kept } from "../lib/kept.js";
import { effect, signal, untracked } from "../lib/ui.js";
import { asked } from "./exports.js";
import { me, session } from "./session.js";

/**
 * The types, each with its title, parameters, columns and formats; null until they are known. They
 * begin with those of the last visit.
 */
export const types = signal(me.peek() ? kept("types") : null);

let asking = null;

/**
 * Ask for the types, unless they are known.
 *
 * @throws {ApiError}
 */
export async function loadTypes() {
  if (!types.value) await refresh();
}

async function refresh() {
  asking ??= call("GET", "/types").finally(() => {
    asking = null;
  });
  const found = await asking;
  if (JSON.stringify(found) !== JSON.stringify(types.value)) types.value = found;
  keep("types", found);
}

/** Return the title of a type for people; its name, if there is no title. */
export function typeTitle(name) {
  return typeNamed(name)?.title ?? name;
}

/** Return a type by its name, if it is known. */
export function typeNamed(name) {
  return types.value?.find(({ type }) => type === name);
}

effect(() => {
  // `asked` counts up after a lost connection. A view that can't do without types says what is wrong.
  if (session.value === "in" && asked.value >= 0) untracked(() => refresh().catch(() => {}));
});
