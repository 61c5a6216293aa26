// Who is signed in. The session is a cookie that no script can read.

import { call, whenSignedOut } from "../lib/api.js";
import { keep, kept } from "../lib/kept.js";
import { batch, signal } from "../lib/ui.js";
import { tell, whenTold } from "./tabs.js";

const TOKEN = "#token=";
const PLACE = "place";
const NOBODY = 401;

const remembered = hasToken() ? null : kept("me");

/** Who is signed in, as `GET /session` says it; null before that. It stays when the session is over. */
export const me = signal(remembered);

/**
 * "asking", "in", "out", or "over": signed in until a moment ago. It begins with what was the case when
 * the page was last seen: with a slow network, one need not wait for the answer.
 */
export const session = signal(remembered ? "in" : "asking");

// The refused request may be older than the session.
whenSignedOut(() => load().catch(() => {}));
whenTold("session", (uid) => {
  if (uid === null) ended();
  else if (me.value && me.value.uid !== uid) location.reload();
  else load().catch(() => {});
});

/**
 * Ask who is signed in.
 *
 * @throws {ApiError} There was no answer.
 */
export async function load() {
  const before = me.value?.uid;
  const found = await call("GET", "/session");
  if (!found) ended();
  else enter(found, before);
}

/**
 * Sign in by a token.
 *
 * @throws {ApiError} The token is not valid, or there was no answer.
 */
export async function signIn(token) {
  const before = me.value?.uid;
  const found = await call("POST", "/session", { token });
  tell("session", found.uid);
  enter(found, before);
}

/**
 * Sign out, in all tabs.
 *
 * @throws {ApiError} There was no answer.
 */
export async function signOut() {
  await call("DELETE", "/session").catch((error) => {
    if (error.status !== NOBODY) throw error;
  });
  forget();
  tell("session", null);
  location.reload();
}

function enter(found, before) {
  keep("me", found);
  // What is shown is that of another person.
  if (before && before !== found.uid) {
    keep("types", null);
    location.reload();
    return;
  }
  batch(() => {
    me.value = found;
    session.value = "in";
  });
}

function ended() {
  session.value = me.value ? "over" : "out";
  forget();
}

function forget() {
  keep("me", null);
  keep("types", null);
}

/** Whether the address has a token, as a link to sign in has it. */
export function hasToken() {
  return location.hash.startsWith(TOKEN);
}

/** Return the token in the address, and put in its place where the person was. */
export function takeToken() {
  const token = location.hash.slice(TOKEN.length);
  history.replaceState(null, "", location.pathname + location.search + (kept(PLACE) ?? ""));
  keep(PLACE, null);
  dispatchEvent(new Event("hashchange"));
  return token;
}

/** Return whose token it is: `GET /me`. */
export async function ownerOf(token) {
  return call("GET", "/me", { token });
}

/** Return where the sign-in page is to send people; null if there is none. */
export function signInAddress() {
  const url = document.querySelector("meta[name=sign-in-url]").content;
  if (!url) return null;
  const to = new URL(url);
  to.searchParams.set("back", location.origin + location.pathname + location.search);
  return to.href;
}

/** Remember where one is, before one leaves to sign in. */
export function keepPlace() {
  keep(PLACE, location.hash);
}
