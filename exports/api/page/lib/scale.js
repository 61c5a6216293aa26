// Where the ticks of an axis are.

/** Return about `count` round numbers that cover the values, and zero. */
export function ticks(values, count = 4) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  if (low === high) return [0, 1];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Return the places of days or months ("2026-10-31", "2026-10"), counted from the first one. */
export function places(labels) {
  const counted = labels.map((label) => {
    const [year, month, day] = label.split("-").map(Number);
    return day ? Date.UTC(year, month - 1, day) / 86_400_000 : year * 12 + month;
  });
  return counted.map((one) => one - counted[0]);
}
