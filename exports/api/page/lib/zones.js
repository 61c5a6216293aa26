// Days in a time zone that is not the browser's. Times are epoch milliseconds.

/** Return when a day begins there. `day`: "2026-10-31"; a day without midnight begins an hour later. */
export function startOfDay(day, timeZone) {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  const near = midnight - ahead(midnight, timeZone);
  // The clock may have changed in between.
  return midnight - ahead(near, timeZone);
}

/** Return all time zones, by their names. */
export function timeZones() {
  return Intl.supportedValuesOf?.("timeZone") ?? [];
}

/** Return by how much its clock is ahead of UTC. */
function ahead(at, timeZone) {
  // Swedish dates are written as in ISO 8601.
  const options = { timeZone, dateStyle: "short", timeStyle: "medium" };
  const shown = new Intl.DateTimeFormat("sv-SE", options).format(at);
  return Date.parse(`${shown.replace(" ", "T")}Z`) - Math.trunc(at / 1000) * 1000;
}
