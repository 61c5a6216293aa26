// What the API says is wrong with a form.

import { explain } from "../../lib/explain.js";
import { has, language, t } from "../../lib/texts.js";

/**
 * Return what the API says is wrong, by the name of a field. What has no place in the form is left out.
 *
 * @param {import("../../lib/api.js").ApiError | null} error
 * @param {object[]} fields See `fieldsOf`.
 * @param {string[]} others The names of what the form has beside these.
 */
export function refusedFields(error, fields, others) {
  if (!error) return {};
  if (error.code === "E_FORMAT") return { format: explain(error) };
  const found = {};
  for (const [path, reason] of Object.entries(error.fields ?? {})) {
    const [name] = path.split(".");
    const field = fields.find(({ names }) => names.includes(name)) ?? (name === "input" && fields.find(({ kind }) => kind === "days"));
    const target = others.includes(name) ? name : field?.names[0];
    if (target) found[target] = inWords(name, reason);
  }
  return found;
}

/** The reason of the API is English, and often a sentence without its subject: "is not a number". */
function inWords(name, reason) {
  if (language.value === "en" && /^[^a-z]/.test(reason)) return reason.replace(/\.?$/, ".");
  return has(`form.wrong.${name}`) ? t(`form.wrong.${name}`) : t("new.refused", { reason });
}
