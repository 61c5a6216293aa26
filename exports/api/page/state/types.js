// What can be exported, as `GET /types` says it: asked for once.

import { call } from "../lib/api.js";
import { effect, signal, untracked } from "../lib/ui.js";
import { asked } from "./exports.js";
import { probablyIn, session } from "./session.js";

/** The types, each with its title, parameters, columns and formats; null until they are known. */
export const types = signal(null);

let asking = null;

/**
 * Ask for the types, unless they are known.
 *
 * @throws {ApiError}
 */
export async function loadTypes() {
  if (types.value) return;
  asking ??= call("GET", "/types").finally(() => {
    asking = null;
  });
  types.value = await asking;
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
  const mayAsk = session.value === "in" || (session.value === "asking" && probablyIn);
  if (mayAsk && asked.value >= 0) untracked(() => loadTypes().catch(() => {}));
});
