// Says an error in words.

import { has, language, t } from "./texts.js";

/**
 * Return what is wrong, in the language of the page.
 *
 * @param {{code: string, msg?: string, message?: string}} error An ApiError, or the error of an export.
 */
export function explain(error) {
  const name = `error.${error.code}`;
  // The API's sentence knows more, but is English.
  const inEnglish = error.msg ?? (error.code === "OFFLINE" ? null : error.message);
  if (language.value === "en" && inEnglish) return inEnglish;
  return has(name) ? t(name) : inEnglish;
}

/** Return what to do about it, or null. */
export function advice(error) {
  const name = `advice.${error.code}`;
  return has(name) ? t(name) : null;
}
