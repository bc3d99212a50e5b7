// Questions to the sidecar whose page this is.

let token = sessionStorage.getItem("token") ?? "";

/** Takes the operator's token, for as long as this tab lives. */
export function takeToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

/** What the sidecar did not answer as it was asked. */
export class AnswerError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

function request(path, parameters, signal, headers = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== undefined) {
      query.set(name, value);
    }
  }
  // Relative, since a proxy may have this page below a path of its own.
  return fetch(`../${path}${query.size > 0 ? `?${query}` : ""}`, {
    signal,
    cache: "no-store",
    headers: token === "" ? headers : { ...headers, Authorization: `Bearer ${token}` },
  });
}

/** Asks for JSON. */
export async function ask(path, parameters = {}, signal = undefined) {
  const answer = await request(path, parameters, signal);
  if (answer.ok || (answer.status === 404 && answer.headers.get("Content-Type") === "application/json")) {
    return answer.json();
  }
  throw new AnswerError(answer.status, (await answer.text()).trim());
}

/** Milliseconds before a stream that ended is asked for again. */
const AGAIN = 2000;

/**
 * Follows a stream of events until `signal` says so, from `last` events back, and
 * again from where it was when it breaks. EventSource could not send a token.
 */
export async function follow(path, parameters, last, signal, on) {
  let seen = "";
  while (!signal.aborted) {
    try {
      const where = seen === "" ? { ...parameters, last } : parameters;
      const answer = await request(path, where, signal, seen === "" ? {} : { "Last-Event-ID": seen });
      if (!answer.ok) {
        throw new AnswerError(answer.status, (await answer.text()).trim());
      }
      on.open();
      await read(answer.body, (event) => {
        seen = event.id === "" ? seen : event.id;
        on.event(event.type, JSON.parse(event.data));
      });
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      on.trouble(error);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}

/** Takes server-sent events out of a stream. */
async function read(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: "", type: "message", data: "" };
      for (const line of block.split("\n")) {
        const colon = line.indexOf(": ");
        const field = line.slice(0, colon);
        if (field === "id" || field === "data") {
          event[field] += line.slice(colon + 2);
        } else if (field === "event") {
          event.type = line.slice(colon + 2);
        }
      }
      if (event.data !== "") {
        take(event);
      }
    }
  }
}
