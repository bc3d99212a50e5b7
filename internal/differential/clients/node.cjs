// What is built into Node: fetch, its own http, and, where it has one, WebSocket.
const http = require("http");
const base = process.argv[2].replace("ws://", "http://");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const r = http.request(base + path, { method, headers, agent }, (res) => {
      let all = Buffer.alloc(0);
      res.on("data", (d) => (all = Buffer.concat([all, d])));
      res.on("end", () => {
        console.log(method, path, res.statusCode, res.statusMessage, JSON.stringify(res.rawHeaders.filter((_, i, l) => l[i - (i % 2)].toLowerCase() !== "date")), JSON.stringify(res.trailers), all.length, all.subarray(0, 100).toString());
        resolve();
      });
    });
    r.on("continue", () => console.log("continue"));
    r.on("information", (i) => console.log("information", i.statusCode));
    r.on("error", reject);
    r.end(body);
  });
}

(async () => {
  await ask("GET", "/");
  await ask("HEAD", "/");
  await ask("GET", "/none");
  await ask("POST", "/echo", "x".repeat(100000));
  await ask("POST", "/echo", "chunks", { "Transfer-Encoding": "chunked" });
  await ask("PUT", "/echo", "expected", { Expect: "100-continue" });
  await ask("GET", "/stream");
  agent.destroy();
  for (const [path, init] of [["/", {}], ["/echo", { method: "POST", body: "fetched" }], ["/none", {}]]) {
    const r = await fetch(base + path, init);
    const text = await r.text();
    console.log("fetch", path, r.status, r.statusText, JSON.stringify([...r.headers].filter(([k]) => k !== "date")), text);
  }
  if (globalThis.WebSocket) {
    await new Promise((resolve) => {
      const c = new WebSocket(process.argv[2] + "/ws", ["chat"]);
      const messages = ["hello", "", "grüße", "y".repeat(70000)];
      c.onopen = () => { console.log("open", c.protocol, c.extensions); c.send(messages.shift()); };
      c.onmessage = (e) => { console.log("message", e.data.length, String(e.data).slice(0, 20)); messages.length ? c.send(messages.shift()) : c.close(1000, "bye"); };
      c.onclose = (e) => { console.log("close", e.code, e.reason, e.wasClean); resolve(); };
    });
  }
  process.exit(0);
})();
