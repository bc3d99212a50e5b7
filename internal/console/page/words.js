// Numbers and times in words.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function size(bytes) {
  let unit = 0;
  let n = bytes;
  for (; n >= 1024 && unit < UNITS.length - 1; unit++) {
    n /= 1024;
  }
  return `${unit === 0 ? n : n.toFixed(1)} ${UNITS[unit]}`;
}

/** A length of time, as exact as one wants it. */
export function span(ms) {
  const s = ms / 1000;
  if (ms === 0) {
    return "–";
  }
  if (s < 1) {
    return `${Math.round(ms)} ms`;
  }
  if (s < 60) {
    return `${s.toFixed(1)} s`;
  }
  if (s < 3600) {
    return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  }
  const h = s / 3600;
  return h < 48 ? `${Math.floor(h)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(h / 24)} d ${Math.floor(h % 24)} h`;
}

/** A round trip, which is finer than other times. */
export const trip = (ms) => (ms === 0 ? "–" : `${ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`);

export const share = (part) => `${Math.round(part * 100)}\u202f%`;

export const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

/** The time of a day, of today without the day. UTC, as in logs. */
export function clock(at) {
  const iso = new Date(at).toISOString();
  const today = new Date().toISOString().slice(0, 10);
  const time = iso.slice(11, 23);
  return iso.startsWith(today) ? time : `${iso.slice(5, 10)} ${time}`;
}

/** The beginning of an id, which is enough to tell sessions apart. */
export const brief = (id) => id.slice(0, 12);

/** A state, as people write it. */
export const plain = (state) => state.toLowerCase().replaceAll("_", " ");

/** Where a sidecar is, without the random part of its name. */
export const address = (owner) => owner.slice(owner.indexOf("@") + 1);
