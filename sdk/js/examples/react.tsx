import { useState } from "react";
import { useResilientWebSocket } from "wsresilience/react";

/** A line that says how things are, and the last message. */
export function Ticker({ url }: { url: string }) {
  const [last, setLast] = useState("");
  const { state, send } = useResilientWebSocket(url, { onMessage: (data) => setLast(String(data)) });
  return (
    <>
      <output>
        {state === "reconnecting" ? "…" : ""} {last}
      </output>
      <button type="button" onClick={() => send("clicked")} title="Send" />
    </>
  );
}
