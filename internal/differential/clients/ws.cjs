// The client of ws, which tells of every frame.
const crypto = require("crypto");
const { WebSocket } = require("ws");
const base = process.argv[2];
const said = (...what) => console.log(...what.map((w) => (Buffer.isBuffer(w) ? (w.length > 100 ? `${w.length} ${crypto.createHash("sha256").update(w).digest("hex").slice(0, 16)}` : JSON.stringify(w.toString("latin1"))) : w)));
const messages = ["hello", Buffer.from([0, 255, 1]), "", Buffer.alloc(0), "grüße, 世界", "y".repeat(70000), Buffer.alloc(1000000, 1)];

function run(compress, next) {
  const c = new WebSocket(base + "/ws", ["chat"], { perMessageDeflate: compress, headers: { "x-lower": "1", "X-UPPER": "2" } });
  let at = 0;
  const step = () => {
    if (at < messages.length) return c.send(messages[at++]);
    if (at++ === messages.length) {
      c.send("frag", { fin: false });
      c.ping("in between");
      c.pong("unasked");
      return c.send("ment", { fin: true });
    }
    c.close(1000, "bye");
  };
  c.on("upgrade", (r) => said("upgrade", r.statusCode, r.statusMessage, JSON.stringify(r.rawHeaders.filter((_, i, all) => !/^(date|sec-websocket-accept)$/i.test(all[i - (i % 2)])))));
  c.on("open", () => { said("open", c.protocol, c.extensions); step(); });
  c.on("message", (data, binary) => { said("message", binary, data); step(); });
  c.on("ping", (p) => said("ping", p));
  c.on("pong", (p) => said("pong", p));
  c.on("error", (e) => said("error", e.message));
  c.on("close", (code, reason) => { said("close", code, reason); next(); });
}

run(false, () => run(true, () => {
  const c = new WebSocket(base + "/none");
  c.on("unexpected-response", (_, r) => {
    said("refused", r.statusCode, r.statusMessage, JSON.stringify(r.rawHeaders.filter((_, i, all) => !/^date$/i.test(all[i - (i % 2)]))));
    r.on("data", (d) => said("body", d)).on("end", () => process.exit(0));
  });
}));
