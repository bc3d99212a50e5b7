import { useEffect, useRef, useState } from "react";
import { ResilientWebSocket, type State } from "wsresilience";

interface Connection {
  readonly state: State;
  readonly send: (text: string) => void;
}

/**
 * One session per mounted component and URL. `onMessage` may be a new function at each render. StrictMode
 * mounts twice in one task, and the task after it dials once.
 */
export function useResilientWebSocket(url: string, onMessage: (data: unknown) => void): Connection {
  const [state, setState] = useState<State>("connecting");
  const socket = useRef<ResilientWebSocket | null>(null);
  const listener = useRef(onMessage);
  useEffect(() => {
    listener.current = onMessage;
  }, [onMessage]);

  useEffect(() => {
    const connect = () => {
      const current = new ResilientWebSocket(url, [], { retryInitialConnect: true });
      socket.current = current;
      current.onmessage = ({ data }) => listener.current(data);
      current.onstatechange = (event) => setState(event.state);
    };
    const timer = setTimeout(connect);
    return () => {
      clearTimeout(timer);
      const current = socket.current;
      socket.current = null;
      if (current) {
        current.onmessage = current.onstatechange = null;
        current.close(1000);
      }
    };
  }, [url]);

  return { state, send: (text) => socket.current?.send(text) };
}

/** A line that says how things are, and the last message. */
export function Ticker({ url }: { url: string }) {
  const [last, setLast] = useState("");
  const { state } = useResilientWebSocket(url, (data) => setLast(String(data)));
  return (
    <output>
      {state === "reconnecting" ? "…" : ""} {last}
    </output>
  );
}
