// Who is signed in. The session is a cookie that no script can read.

import { call, whenSignedOut } from "../lib/api.js";
import { keep, kept } from "../lib/kept.js";
import { batch, signal } from "../lib/ui.js";
import { tell, whenTold } from "./tabs.js";

const TOKEN = "#token=";

/** Who is signed in, as `GET /session` says it; null before that. It stays when the session is over. */
export const me = signal(null);

/** "asking", "in", "out", or "over": signed in until a moment ago. */
export const session = signal("asking");

/** Whether somebody is probably signed in, so that there is no need to wait for the answer. */
export const probablyIn = kept("signed-in") === true && !location.hash.startsWith(TOKEN);

whenSignedOut(ended);
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

export async function signOut() {
  await call("DELETE", "/session");
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

/** Return the token in the address, as a link to sign in has it, and take it out of there. */
export function takeToken() {
  if (!location.hash.startsWith(TOKEN)) return null;
  const token = location.hash.slice(TOKEN.length);
  history.replaceState(null, "", location.pathname + location.search + (takePlace() ?? ""));
  dispatchEvent(new Event("hashchange"));
  return decodeURIComponent(token);
}

const PLACE = "exports.place";

/** Return where the sign-in page is to send people, and remember where they were. */
export function signInAddress() {
  const url = document.querySelector("meta[name=sign-in-url]").content;
  if (!url) return null;
  const to = new URL(url);
  to.searchParams.set("back", location.origin + location.pathname + location.search);
  return to.href;
}

/** Remember where one is, before one leaves to sign in. */
export function keepPlace() {
  sessionStorage.setItem(PLACE, location.hash);
}

function takePlace() {
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  return place;
}
