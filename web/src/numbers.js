/** How numbers, shapes and bytes are written. */

const MINUS = "\u2212";

/** A number in few characters: 0.7311, 1.2e-9, NaN. */
export function short(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return { Infinity: "∞", "-Infinity": `${MINUS}∞` }[value] ?? value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "object") return `${short(value.real, digits)}+${short(value.imag, digits)}i`;
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  let text;
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) text = value.toExponential(Math.max(digits - 2, 1)).replace("e+", "e");
  else if (Number.isInteger(value)) text = String(value);
  else text = String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", MINUS);
}

/** All digits that a float32 has. */
export const precise = (value) => short(value, 8);

/** 1536 -> 1.5 KiB. */
export function bytes(value) {
  if (value === null || value === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** 12000000 -> 12 M. */
export function count(value) {
  if (value === null || value === undefined) return "";
  const units = ["", " k", " M", " G", " T", " P"];
  let unit = 0;
  while (Math.abs(value) >= 10000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${short(Math.abs(value) < 100 && unit ? Number(value.toFixed(1)) : Math.round(value))}${units[unit]}`;
}

/** "1 node", "5 nodes". */
export const some = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** [2, 3] -> 2×3; a number has none. */
export const shape = (dimensions) => (dimensions?.length ? dimensions.join("×") : "");

/** The only number of an array, if it has one only; otherwise undefined. */
export function single(numbers) {
  let found = numbers?.full;
  while (Array.isArray(found) && found.length === 1) found = found[0];
  return found === null || Array.isArray(found) ? undefined : found;
}

/** An array in one short phrase: its number, or its norm. */
export function brief(numbers) {
  if (!numbers) return "";
  const one = single(numbers);
  if (one !== undefined) return short(one);
  if (numbers.nan || numbers.inf) return `${count(numbers.nan + numbers.inf)} not finite`;
  if (numbers.norm === null || numbers.norm === undefined) return shape(numbers.shape);
  return `‖${short(numbers.norm, 3)}‖`;
}
