// Who is signed in. The session is a cookie that no script can read.

import { call, whenSignedOut } from "../lib/api.js";
import { keep, kept } from "../lib/kept.js";
import { batch, signal } from "../lib/ui.js";
import { tell, whenTold } from "./tabs.js";

const TOKEN = "#token=";
const PLACE = "place";
const NOBODY = 401;

/** Who is signed in, as `GET /session` says it; null before that. It stays when the session is over. */
export const me = signal(null);

/** "asking", "in", "out", or "over": signed in until a moment ago. */
export const session = signal("asking");

/** Whether somebody is probably signed in, so that there is no need to wait for the answer. */
export const probablyIn = kept("signed-in") === true && !hasToken();

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
  const found = await call("GET", "/session");
  if (found) enter(found);
  else ended();
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
  // What is shown is that of another person.
  if (before && before !== found.uid) location.reload();
  else enter(found);
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
  keep("signed-in", null);
  tell("session", null);
  location.reload();
}

function enter(found) {
  batch(() => {
    me.value = found;
    session.value = "in";
  });
  keep("signed-in", true);
}

function ended() {
  session.value = me.value ? "over" : "out";
  keep("signed-in", null);
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
