// The page's own way to its server, which is not the network that is broken.

/** Begins a visit: the answer says where the two clients connect. */
export async function beginVisit() {
  const answer = await fetch("visit", { method: "POST" });
  if (!answer.ok) {
    throw new Error(await answer.text());
  }
  return answer.json();
}

/** Where a client of the visit connects: where the page came from. */
export function socketURL(visit, client) {
  const url = new URL(`visit/${visit.name}/${client}`, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Presses a button. The answer is "" or why it was not done. */
export async function press(visit, button) {
  return request(`visit/${visit.name}/${button}`, "POST");
}

/** Lets the server press buttons, or not. */
export async function setAuto(visit, on) {
  return request(`visit/${visit.name}/auto`, on ? "PUT" : "DELETE");
}

async function request(path, method) {
  try {
    const answer = await fetch(path, { method });
    return answer.ok ? "" : (await answer.text()).trim();
  } catch {
    return "the demo does not answer";
  }
}

/** Calls `take` with each picture of the server, and `over` when there will be no more. */
export function watch(visit, take, over) {
  const events = new EventSource(`visit/${visit.name}/events`);
  events.onmessage = (event) => take(JSON.parse(event.data));
  events.onerror = () => {
    const closed = events.readyState === EventSource.CLOSED;
    over(closed ? "This visit is over: load the page again." : "The demo does not answer: is it still running?");
  };
}
