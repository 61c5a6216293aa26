// The present, for what counts seconds.

import { signal } from "../lib/ui.js";

/** Epoch milliseconds, anew each second while the page is seen. */
export const now = signal(Date.now());

function tick() {
  if (!document.hidden) now.value = Date.now();
}

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
