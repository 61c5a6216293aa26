// About how many rows an export will have, from those that were made before.

import { call } from "../lib/api.js";
import { signal } from "../lib/ui.js";
import { me } from "./session.js";

/** @type {Map<string, import("../lib/ui.js").Signal>} */
const known = new Map();

/** Return the signal with the number of rows; null if it is not known. It is asked for once. */
export function expectedRows({ id, type, params, format, createdBy }) {
  if (!known.has(id)) {
    known.set(id, signal(null));
    // An estimate is for who asks: others may get other rows.
    if (createdBy === me.peek()?.uid) ask(id, { type, params, format });
  }
  return known.get(id);
}

async function ask(id, body) {
  try {
    const { rows } = await call("POST", "/exports", { query: { dry_run: true }, body });
    // Two digits: it is "about" so many.
    known.get(id).value = rows ? Number(rows.toPrecision(2)) : null;
  } catch {
    // Then nobody knows.
  }
}
