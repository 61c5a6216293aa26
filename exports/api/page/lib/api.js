// Asks the HTTP API. Whatever goes wrong is an ApiError with a stable code.

const TIMEOUT_MS = 30_000;

/** What the API answered in place of data, or that it did not answer. */
export class ApiError extends Error {
  /**
   * @param {string} code As in the table of error codes; OFFLINE if there was no answer.
   * @param {string} msg What is wrong and what would be right, in English.
   * @param {{status?: number, fields?: Record<string, string>, retryable?: boolean, retryAfter?: number}} more
   *   `fields`: what is wrong with which field; `retryAfter`: seconds, and `retryAt` the moment.
   */
  constructor(code, msg, { status = 0, fields = {}, retryable = true, retryAfter = null } = {}) {
    super(msg);
    this.code = code;
    this.status = status;
    this.fields = fields;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.retryAt = retryAfter === null ? null : Date.now() + retryAfter * 1000;
  }
}

export const OFFLINE = "OFFLINE";

const listeners = { signedOut: () => {} };

/** Say what is to be done when the API answers that nobody is signed in. */
export function whenSignedOut(listener) {
  listeners.signedOut = listener;
}

/**
 * Call the API, and return its data.
 *
 * @param {string} method
 * @param {string} path With a leading slash; ids in it are already encoded, see `at`.
 * @param {{query?: object, body?: object, key?: string, token?: string, signal?: AbortSignal}} options
 *   `key` is sent as Idempotency-Key; parameters of `query` that are null, "" or undefined are left out.
 * @throws {ApiError}
 */
export async function call(method, path, { query = {}, body, key, token, signal } = {}) {
  const answer = await request(method, path, { query, body, key, token, signal });
  if (answer.status === 204) return null;
  return (await json(answer)).data;
}

/** The same, but return the response; `last` is sent as Last-Event-ID. For streams: without a time limit. */
export async function open(path, { query = {}, last, signal }) {
  return request("GET", path, { query, last, signal, limited: false });
}

/** Return a new idempotency key. (`crypto.randomUUID` is only there by https.) */
export function newKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-");
}

/** Put ids into a path: at`/exports/${id}/file`. */
export function at(parts, ...ids) {
  return String.raw({ raw: parts }, ...ids.map(encodeURIComponent));
}

async function request(method, path, { query, body, key, token, last, signal, limited = true }) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (last) headers["Last-Event-ID"] = last;
  const signals = [signal, limited ? AbortSignal.timeout(TIMEOUT_MS) : null].filter(Boolean);
  let answer;
  try {
    answer = await fetch(path.slice(1) + asQuery(query), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.any(signals),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(OFFLINE, "The service does not answer.");
  }
  if (answer.ok) return answer;
  const { error = {} } = await json(answer);
  if (answer.status === 401 && !token) listeners.signedOut();
  throw new ApiError(error.code ?? OFFLINE, error.msg ?? "The service does not answer.", {
    status: answer.status,
    fields: error.fields ?? {},
    retryable: error.retryable ?? true,
    retryAfter: Number(answer.headers.get("Retry-After")) || null,
  });
}

function asQuery(query) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const text = new URLSearchParams(given).toString();
  return text && `?${text}`;
}

async function json(answer) {
  try {
    return await answer.json();
  } catch {
    // A proxy answered in place of the API, or the connection was cut.
    throw new ApiError(OFFLINE, "The service does not answer.", { status: answer.status });
  }
}
