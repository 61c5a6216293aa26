// The texts of the page, in English and in Simplified Chinese.

import { keep, kept } from "./kept.js";
import { effect, signal } from "./ui.js";
import { number } from "./format.js";
import { errorTexts } from "../texts/errors.js";
import { exportsTexts } from "../texts/exports.js";
import { messagesTexts } from "../texts/messages.js";
import { newTexts } from "../texts/new.js";
import { recurringTexts } from "../texts/recurring.js";
import { shellTexts } from "../texts/shell.js";

export const LANGUAGES = { en: "English", "zh-Hans": "简体中文" };

/** The language of the page, one of LANGUAGES. */
export const language = signal(kept("language") ?? ofBrowser());

/** All texts: a name, then English and Chinese. With `count`, English may have `one` and `other`. */
const TEXTS = {
  ...shellTexts, ...errorTexts, ...newTexts, ...exportsTexts, ...recurringTexts, ...messagesTexts,
};

effect(() => {
  document.documentElement.lang = language.value;
});

export function choose(wanted) {
  keep("language", wanted);
  language.value = wanted;
}

/**
 * Return a text in the language of the page.
 *
 * @param {string} name
 * @param {object} values What stands for {name} in it; numbers are written as the language does.
 */
export function t(name, values = {}) {
  const texts = TEXTS[name];
  // A newer API may know a status, an event or a channel that this page does not.
  if (!texts) return name.split(".").at(-1);
  let text = texts[Object.keys(LANGUAGES).indexOf(language.value)];
  if (typeof text !== "string") text = text[plural(values.count)];
  return text.replace(/\{(\w+)\}/g, (_, key) => shown(values[key]));
}

/** Whether there is a text of this name. */
export function has(name) {
  return name in TEXTS;
}

function plural(count) {
  return new Intl.PluralRules("en").select(count) === "one" ? "one" : "other";
}

function shown(value) {
  return typeof value === "number" ? number(value) : value;
}

function ofBrowser() {
  const ours = Object.keys(LANGUAGES);
  const found = navigator.languages.map((tag) => ours.find((one) => one.split("-")[0] === tag.split("-")[0]));
  return found.find(Boolean) ?? "en";
}
