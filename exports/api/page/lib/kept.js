// What this browser remembers. Without storage, as in some private windows, it remembers nothing.

/** Return what was kept under a name, or null. */
export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(`exports.${name}`));
  } catch {
    return null;
  }
}

/** Keep a value under a name; null forgets it. */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`exports.${name}`);
    else localStorage.setItem(`exports.${name}`, JSON.stringify(value));
  } catch {
    // Then it is not remembered.
  }
}
