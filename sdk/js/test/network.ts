// A network of which a test says how each handshake goes.
import type { WebSocketConstructor } from "../src/index.ts";
import type { Data } from "../src/store.ts";
import { encodeWelcome } from "./encode.ts";

/**
 * What happens to a handshake: it fails, its constructor throws, or it is answered with a subprotocol; `silent`:
 * with ours, and the test says WELCOME.
 */
export type Answer = "fails" | "throws" | "silent" | "wsr.v1" | "chat" | "";

/** A network on which the handshakes go as listed, and the last answer repeats itself. */
export function network(...answers: [Answer, ...Answer[]]) {
  const dials: string[] = [];
  const sockets: Fake[] = [];
  class Fake {
    readonly url: string;
    protocol = "";
    readonly extensions = "";
    readyState = 0;
    readonly bufferedAmount = 0;
    binaryType = "";
    readonly sent: Data[] = [];
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
    onerror: (() => void) | null = null;
    onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null = null;

    constructor(url: string, protocols: string[] = []) {
      this.url = url;
      dials.push(`${new URL(url).search} ${protocols.join(" ")}`.trim());
      const answer = answers.length > 1 ? answers.shift()! : answers[0];
      if (answer === "throws") {
        throw new Error("no more sockets");
      }
      sockets.push(this);
      void Promise.resolve().then(() => this.answer(answer, protocols));
    }

    private answer(answer: Answer, offered: string[]): void {
      // As in browsers, a server that selects nothing of what was offered fails the handshake.
      if (answer === "fails" || (offered.length > 0 && !answer)) {
        this.onclose?.({ code: 1006, reason: "", wasClean: false });
        return;
      }
      this.protocol = answer === "silent" ? "wsr.v1" : offered.includes(answer) ? answer : "";
      this.readyState = 1;
      this.onopen?.();
      if (answer === "wsr.v1" && this.protocol) {
        this.onmessage?.({
          data: encodeWelcome({
            subprotocol: offered[0] === "wsr" ? "" : offered[0]!,
            ...resumed(offered.at(-1)!),
          }).buffer,
        });
      }
    }

    /** The other end sends a message. */
    says({ buffer }: Uint8Array<ArrayBuffer>): void {
      this.onmessage?.({ data: buffer });
    }

    breaks(code = 1006): void {
      this.onclose?.({ code, reason: "", wasClean: code !== 1006 });
    }

    send(data: Data): void {
      this.sent.push(data);
    }
    close(): void {
      this.readyState = 3;
    }
  }
  return { dials, sockets, webSocket: Fake as unknown as WebSocketConstructor };
}

/** What WELCOME says of an offer to resume, whose messages up to the fourth have arrived. */
function resumed(offer: string): Parameters<typeof encodeWelcome>[0] {
  const [, received] = /^wsr\.resume\.[^.]*\.(\d+)/.exec(offer) ?? [];
  return received ? { status: 1, nextOutbound: Number(received) + 1, inboundAck: 4 } : {};
}
