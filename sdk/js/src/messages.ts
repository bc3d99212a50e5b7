import type { DomBlob, DomWebSocket } from "./dom.ts";

/** What is needed of a socket; any WebSocket has it. */
interface Source {
  readonly readyState: number;
  addEventListener(type: "message" | "close", listener: (event: never) => void): void;
  removeEventListener(type: "message" | "close", listener: (event: never) => void): void;
}

/**
 * The messages of a socket, for `for await`: it ends when the socket is closed, and leaves it open when the loop is
 * left. Messages that come while the body of the loop waits are kept, however many.
 */
export async function* messages<T = string | ArrayBuffer | DomBlob>(
  socket: Source | DomWebSocket,
): AsyncGenerator<T, void, undefined> {
  const source = socket as Source;
  const waiting: { type: string; data: T }[] = [];
  let wake = () => {};
  const listener = (event: { type: string; data: T }) => {
    waiting.push(event);
    wake();
  };
  source.addEventListener("message", listener);
  source.addEventListener("close", listener);
  try {
    while (source.readyState < 3 || waiting.length) {
      const event = waiting.shift();
      if (event?.type === "close") {
        return;
      }
      if (event) {
        yield event.data;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    source.removeEventListener("message", listener);
    source.removeEventListener("close", listener);
  }
}
