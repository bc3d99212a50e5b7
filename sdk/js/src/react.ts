import { useCallback, useEffect, useRef, useState } from "react";
import { type Fresh, type Options, ResilientWebSocket, type Sendable, type State } from "./index.ts";

/** Options of the hook. They are read when a session begins; `onMessage` may be a new function at each render. */
export interface HookOptions extends Options {
  /** Offered to the app. */
  readonly protocols?: Fresh<string | string[]>;
  /** Handles a message: text, or bytes by the socket's `binaryType`. */
  readonly onMessage?: (data: unknown) => void;
  /** Is called with each new socket before it connects, to add listeners, or to set `binaryType`. */
  readonly onSocket?: (socket: ResilientWebSocket) => void;
}

export interface Connection {
  readonly state: State;
  /** Null before the first effect, without a URL, and after the end of the component. */
  readonly socket: ResilientWebSocket | null;
  /** Sends; what is sent before `open` waits for it. The function stays the same. */
  readonly send: (data: Sendable) => void;
}

/**
 * One session per mounted component and URL, closed with 1000 when either ends. A function or promise as URL is asked
 * for each dial, and begins no session by being another one at the next render. With null there is none.
 *
 * StrictMode mounts twice in one task, and the task after it dials once. A first connection is tried again and again,
 * unless `retryInitialConnect` is false.
 */
export function useResilientWebSocket(
  url: Fresh<string | URL | null> | null,
  options: HookOptions = {},
): Connection {
  const [state, setState] = useState<State>("connecting");
  const [socket, setSocket] = useState<ResilientWebSocket | null>(null);
  const latest = useRef({ url, options });
  const current = useRef<ResilientWebSocket | null>(null);
  const early = useRef<Sendable[]>([]);
  useEffect(() => {
    latest.current = { url, options };
  });

  const key = url instanceof URL || typeof url === "string" ? `${url}` : url && "fresh";
  useEffect(() => {
    if (key === null) {
      return;
    }
    const connect = () => {
      const { protocols, onMessage: _, onSocket, ...rest } = latest.current.options;
      const source = () => {
        const { url: now } = latest.current;
        return typeof now === "function" ? now() : now;
      };
      const made = new ResilientWebSocket(key === "fresh" ? source : key, protocols ?? [], {
        retryInitialConnect: true,
        ...rest,
      });
      current.current = made;
      setSocket(made);
      made.onopen = () => {
        for (const data of early.current.splice(0)) {
          made.send(data);
        }
      };
      made.onmessage = ({ data }) => latest.current.options.onMessage?.(data);
      made.onstatechange = (event) => setState(event.state);
      onSocket?.(made);
    };
    const timer = setTimeout(connect);
    return () => {
      clearTimeout(timer);
      const old = current.current;
      current.current = null;
      early.current = [];
      if (old) {
        old.onopen = old.onmessage = old.onstatechange = null;
        old.close(1000);
        setSocket(null);
        setState("connecting");
      }
    };
  }, [key]);

  const send = useCallback((data: Sendable) => {
    if (current.current?.readyState) {
      current.current.send(data);
    } else {
      early.current.push(data);
    }
  }, []);
  return { state, socket, send };
}
