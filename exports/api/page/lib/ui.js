// What views and parts are made of: the one place that imports the libraries.

import { h, render, Fragment } from "../vendor/preact.js";
import { useEffect, useErrorBoundary, useId, useMemo, useRef, useState } from "../vendor/preact-hooks.js";
import htm from "../vendor/htm.js";
import { batch, computed, effect, signal, untracked } from "../vendor/signals-core.js";
// A component that reads a signal is drawn again when the signal changes.
import { useComputed, useSignal, useSignalEffect } from "../vendor/signals.js";

/**
 * Makes elements from a template: html`<p class="note">${text}</p>`. Texts in it are escaped.
 *
 * @type {(parts: TemplateStringsArray, ...values: any[]) => any}
 */
export const html = htm.bind(h);

export {
  batch, computed, effect, Fragment, render, signal, untracked,
  useComputed, useEffect, useErrorBoundary, useId, useMemo, useRef, useSignal, useSignalEffect, useState,
};
