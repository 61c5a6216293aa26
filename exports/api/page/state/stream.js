// One stream of events for all tabs of this browser: a browser has few connections to a server.
//
// The tab that holds the lock reads the stream and tells the other tabs. When it is closed, another
// one gets the lock. Without locks, as without HTTPS, each tab reads a stream of its own.

import { ApiError, OFFLINE, open } from "../lib/api.js";
import { effect, signal } from "../lib/ui.js";
import { createParser } from "../vendor/eventsource-parser/parse.js";
import { askAnew, takeEvent } from "./exports.js";
import { session } from "./session.js";
import { tell, whenTold } from "./tabs.js";

const SILENCE_MS = 40_000; // the API sends a comment every 15 s
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const WRONG_LAST_ID = 400;

/** "connecting", "live" or "lost". */
export const connection = signal("connecting");
/** When the next try is due, while the connection is lost (epoch milliseconds). */
export const nextTry = signal(null);
/** When the connection was last good (epoch milliseconds); null if it never was. */
export const connectedAt = signal(null);

/** The id of the last event, by which a stream goes on where another one was cut. */
let last = null;
let leading = false;
/** Ends what the leading tab waits for. */
let hurry = () => {};

whenTold("event", ({ id, event }) => {
  last = id;
  takeEvent(event);
});
whenTold("connection", ({ state, due }) => set(state, due));
whenTold("try", () => hurry());
whenTold("new tab", () => leading && tellOthers("connection", { state: connection.value, due: nextTry.value }));

/** Follow all exports that one may see, for as long as the page is open. */
export async function follow() {
  addEventListener("online", tryIfLost);
  document.addEventListener("visibilitychange", tryIfLost);
  for (;;) {
    await until(() => session.value === "in");
    tellOthers("new tab");
    await alone(stayConnected);
  }
}

/** Do not wait for the next try. */
export function tryNow() {
  hurry();
  tellOthers("try");
}

function tryIfLost() {
  if (!document.hidden && connection.value === "lost") tryNow();
}

function alone(task) {
  return navigator.locks ? navigator.locks.request("exports.stream", task) : task();
}

function tellOthers(kind, value) {
  if (navigator.locks) tell(kind, value);
}

/** Read streams, one after the other, until the session is over. */
async function stayConnected() {
  leading = true;
  let wait = FIRST_WAIT_MS;
  while (session.value === "in") {
    try {
      await read(() => {
        wait = FIRST_WAIT_MS;
      });
    } catch (error) {
      if (session.value !== "in") break;
      if (error.status === WRONG_LAST_ID) last = null;
      const pause = Math.max(wait * (0.75 + Math.random() / 2), (error.retryAfter ?? 0) * 1000);
      share("lost", Date.now() + pause);
      await waited(pause);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }
  leading = false;
  share("connecting", null);
}

/** Read the stream until it ends. It does, when the API stops or the session is over. */
async function read(connected) {
  const stop = new AbortController();
  hurry = () => stop.abort();
  let watchdog = setTimeout(hurry, SILENCE_MS);
  try {
    const answer = await open("/exports/events", { last, signal: stop.signal });
    connected();
    share("live", null);
    const parser = createParser({
      onEvent({ id, data }) {
        const event = JSON.parse(data);
        last = id;
        takeEvent(event);
        tellOthers("event", { id, event });
      },
    });
    const decoder = new TextDecoder();
    // Not `for await`, which older Safaris do not know for streams.
    const reader = answer.body.getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      clearTimeout(watchdog);
      watchdog = setTimeout(hurry, SILENCE_MS);
      parser.feed(decoder.decode(chunk.value, { stream: true }));
    }
    throw new ApiError(OFFLINE, "The stream has ended.");
  } finally {
    stop.abort();
    clearTimeout(watchdog);
  }
}

function share(state, due) {
  set(state, due);
  tellOthers("connection", { state, due });
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
    hurry = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** Wait until a condition on signals holds. */
function until(holds) {
  return new Promise((resolve) => {
    const stop = effect(() => {
      // Not at once, because the effect can't end itself before it has been made.
      if (holds()) queueMicrotask(() => resolve(stop()));
    });
  });
}
