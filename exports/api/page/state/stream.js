// One stream of events for all tabs of this browser: a browser has few connections to a server.
//
// The tab that holds the lock reads the stream and tells the other tabs. When it is closed, another
// one gets the lock.

import { ApiError, open } from "../lib/api.js";
import { signal } from "../lib/ui.js";
import { createParser } from "../vendor/eventsource-parser/parse.js";
import { askAnew, takeEvent } from "./exports.js";
import { session } from "./session.js";
import { tell, whenTold } from "./tabs.js";

const SILENCE_MS = 40_000; // the API sends a comment every 15 s
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const SIGNED_OUT_MS = 500;

/** "connecting", "live" or "lost". */
export const connection = signal("connecting");
/** When the next try is due, while the connection is lost (epoch milliseconds). */
export const nextTry = signal(null);
/** When the connection was last good (epoch milliseconds); null if it never was. */
export const connectedAt = signal(null);

let last = null;
let leading = false;
let again = () => {};

whenTold("event", ({ event, when }) => takeEvent(event, when));
whenTold("connection", ({ state, due }) => set(state, due));
whenTold("try", () => again());
whenTold("new tab", () => leading && tell("connection", { state: connection.value, due: nextTry.value }));

/** Follow all exports that one may see, for as long as the page is open. */
export function follow() {
  if (navigator.locks) navigator.locks.request("exports.stream", lead);
  else lead();
  tell("new tab");
  addEventListener("online", tryIfLost);
  document.addEventListener("visibilitychange", tryIfLost);
}

/** Do not wait for the next try. */
export function tryNow() {
  again();
  tell("try");
}

function tryIfLost() {
  if (!document.hidden && connection.value === "lost") tryNow();
}

async function lead() {
  leading = true;
  let wait = FIRST_WAIT_MS;
  for (;;) {
    try {
      while (session.value !== "in") await waited(SIGNED_OUT_MS);
      await read(() => {
        wait = FIRST_WAIT_MS;
      });
    } catch (error) {
      if (!(error instanceof ApiError) && error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
      if (error.status === 400) last = null;
      const asked = (error.retryAfter ?? 0) * 1000;
      const pause = Math.max(wait * (0.75 + Math.random() / 2), asked);
      if (session.value === "in") share("lost", Date.now() + pause);
      await waited(pause);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }
}

/** Read the stream until it ends. It does, when the API stops or the session is over. */
async function read(connected) {
  const stop = new AbortController();
  again = () => stop.abort();
  let watchdog = setTimeout(again, SILENCE_MS);
  try {
    const answer = await open("/exports/events", { last, signal: stop.signal });
    connected();
    share("live", null);
    const parser = createParser({
      onEvent({ id, data }) {
        last = id;
        const event = JSON.parse(data);
        const when = Number.parseInt(id, 10);
        takeEvent(event, when);
        tell("event", { event, when });
      },
    });
    const decoder = new TextDecoder();
    // Not `for await`, which older Safaris do not know for streams.
    const reader = answer.body.getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      clearTimeout(watchdog);
      watchdog = setTimeout(again, SILENCE_MS);
      parser.feed(decoder.decode(chunk.value, { stream: true }));
    }
    throw new ApiError("OFFLINE", "The stream has ended.");
  } finally {
    clearTimeout(watchdog);
  }
}

function share(state, due) {
  set(state, due);
  tell("connection", { state, due });
}

function set(state, due) {
  if (connection.value === "live" || state === "live") connectedAt.value = Date.now();
  if (state === "live" && connection.value === "lost") askAnew();
  connection.value = state;
  nextTry.value = due;
}

function waited(milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    again = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}
