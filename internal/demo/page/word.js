// What a client is doing, in one line, for one who wonders why nothing comes.

/** Milliseconds without a message that are called so. */
export const SILENT = 500;

/** Milliseconds for which the last fault explains a silence. */
const EXPLAINS = 40_000;

/** What each fault is to the plain client and to the resilient one, while they hear nothing. */
const WORDS = {
  tunnel: [
    "In the tunnel. What the app says now is written into a dead connection.",
    "In the tunnel. The sidecar keeps what the app says now.",
  ],
  cut: [
    "Cut off. The app's socket is gone, and what it would say now is never sent.",
    "Cut off. The sidecar holds the app's socket, and keeps what comes.",
  ],
  "half-open": [
    "The connection is dead, and nobody told the browser: it waits, and sends into the void.",
    "The connection is dead, and nobody told the browser: a heartbeat finds out.",
  ],
  slow: ["A slow network. It gets there.", "A slow network. It gets there."],
  kill: [
    "Its pod was killed. It connects to another one, which knows nothing of it.",
    "Its pod was killed. Another one adopts the session when the dead one's lease is over, after two seconds: it waits, and loses nothing that was promised.",
  ],
  drain: [
    "Its pod is being replaced. Its socket is closed.",
    "Its pod is being replaced. The session moves, with all that is missing.",
  ],
  restart: [
    "The app was killed. It connects again.",
    "The app was killed. The sidecar holds the connection until a new app has taken over.",
  ],
};

/** The line for a lane that has been silent for so long, given the last fault and when it was. "" is none. */
export function word(lane, fault, now) {
  if (lane.over) {
    return `The session is over: ${lane.over}`;
  }
  const silent = !lane.connected || lane.silence(now) >= SILENT;
  if (!silent || !fault || now - fault.at > EXPLAINS) {
    return "";
  }
  return WORDS[fault.kind]?.[lane.resilient ? 1 : 0] ?? "";
}
