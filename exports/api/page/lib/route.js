// Where one is: the part of the address behind `#`. `#/exports/ID?status=done`

import { signal } from "./ui.js";

/** `path`: ["exports", "ID"]; `query`: URLSearchParams; `hash`: both, as the address has them. */
export const route = signal(read());

for (const name of ["hashchange", "popstate"]) {
  // Back to an address with another query: Chromium says nothing of the hash then.
  addEventListener(name, () => {
    if (route.peek().hash !== location.hash) route.value = read();
  });
}

/** Return the address of a place: href(["exports", id], {status: "done"}). */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/** Go to a place. With `replace`, the one before is not in the history. */
export function go(path, query, { replace = false } = {}) {
  const to = href(path, query);
  if (replace) {
    history.replaceState(null, "", to);
    route.value = read();
  } else {
    location.hash = to;
  }
}

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return {
    hash: location.hash,
    path: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(query ?? ""),
  };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
