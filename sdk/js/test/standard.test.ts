// The demands of WHATWG and WebIDL that need no server. The table in conformance/ compares the class as a
// whole with a browser's own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ResilientWebSocket } from "../src/index.ts";
import { closeCode, toData } from "../src/standard.ts";

/** What a call throws: its DOMException's name, or TypeError, or "" if nothing. */
function thrown(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (e) {
    assert.ok(e instanceof DOMException || e instanceof TypeError, `${e}`);
    return e.name;
  }
}

/** Passes a value of a type that the compiler would refuse, as plain JavaScript can. */
function untyped<T>(value: unknown): T {
  return value as T;
}

test("close codes are clamped and rounded as WebIDL says", () => {
  const NONE = "InvalidAccessError";
  for (const [given, want] of [
    [1000, 1000],
    [3000, 3000],
    [4999, 4999],
    [999.6, 1000],
    [2999.5, 3000],
    [2999.4, NONE],
    ["3001", 3001],
    [[1000], 1000],
    [999.5, 1000],
    [4999.5, NONE],
    [1001, NONE],
    [1005, NONE],
    [2999, NONE],
    [5000, NONE],
    [-1, NONE],
    [65536 + 1000, NONE],
    [Number.POSITIVE_INFINITY, NONE],
    [Number.NaN, NONE],
    [null, NONE],
    ["text", NONE],
    [10n, "TypeError"],
    [Symbol(), "TypeError"],
  ] as const) {
    const close = () => closeCode(untyped(given), "why");
    if (typeof want === "number") {
      assert.equal(close(), want);
    } else {
      assert.equal(thrown(close), want, String(given));
    }
  }
});

test("close reasons have 123 bytes at most", () => {
  assert.equal(closeCode(undefined, ""), 1005);
  assert.equal(closeCode(1000, "é".repeat(61)), 1000);
  for (const reason of ["é".repeat(62), "\ud800".repeat(42)]) {
    assert.equal(
      thrown(() => closeCode(1000, reason)),
      "SyntaxError",
    );
  }
  assert.equal(
    thrown(() => closeCode(5, "é".repeat(62))),
    "InvalidAccessError",
    "the code comes first",
  );
});

test("send takes bytes as they are at the call", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const wants = [
    toData(bytes.buffer),
    toData(bytes),
    toData(bytes.subarray(2, 4)),
    toData(new DataView(bytes.buffer, 4)),
    toData(new Uint16Array(bytes.buffer, 6, 1)),
  ];
  bytes.fill(0);
  assert.deepEqual(wants, [
    Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    Uint8Array.of(3, 4),
    Uint8Array.of(5, 6, 7, 8),
    Uint8Array.of(7, 8),
  ]);
  // Node's small Buffers are views of a pool that must neither be sent nor kept.
  assert.equal((toData(Buffer.from("pool")) as Uint8Array).buffer.byteLength, 4);
});

test("send refuses shared bytes, and takes those of a detached buffer for none", () => {
  const shared = new SharedArrayBuffer(8);
  for (const bad of [shared, new Uint8Array(shared)]) {
    assert.equal(
      thrown(() => toData(bad)),
      "TypeError",
    );
  }
  const gone = Uint8Array.of(1, 2);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  assert.deepEqual(toData(gone), new Uint8Array());
  assert.deepEqual(toData(gone.buffer), new Uint8Array());
});

test("send takes Blobs as they are and everything else as text", () => {
  const blob = new Blob(["a"]);
  assert.equal(toData(blob), blob);
  for (const [given, want] of [
    ["text", "text"],
    ["", ""],
    [null, "null"],
    [undefined, "undefined"],
    [1.5, "1.5"],
    [{}, "[object Object]"],
    [[1, [2]], "1,2"],
    [{ toString: () => "x", valueOf: () => "y" }, "x"],
  ] as const) {
    assert.equal(toData(given), want);
  }
  assert.equal(
    thrown(() => toData(Symbol())),
    "TypeError",
  );
});

/** A transport that is never answered. */
class Silent {
  readonly url: string;
  readonly protocol = "";
  readonly extensions = "";
  readonly readyState = 0;
  readonly bufferedAmount = 0;
  binaryType = "blob";
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  constructor(url: string) {
    this.url = url;
  }
  send(): void {}
  close(): void {}
}

const sockets: ResilientWebSocket[] = [];
test.after(() => {
  for (const socket of sockets) {
    socket.close();
  }
});

function make(): Omit<ResilientWebSocket, "onopen"> & { onopen: unknown } {
  const socket = new ResilientWebSocket("ws://localhost/", [], { webSocket: Silent });
  sockets.push(socket);
  return socket;
}

test("handlers and listeners are called in the order of their first activation", () => {
  const target = make();
  const calls: string[] = [];
  const say = (what: string) => () => calls.push(what);
  const fire = () => {
    calls.length = 0;
    target.dispatchEvent(new Event("open"));
    return calls.join(" ");
  };
  target.addEventListener("open", say("first"));
  target.onopen = say("handler");
  target.addEventListener("open", say("last"));
  assert.equal(fire(), "first handler last");
  target.onopen = say("replaced");
  assert.equal(fire(), "first replaced last", "a replaced handler keeps its place");
  target.onopen = {};
  assert.equal(fire(), "first last");
  target.onopen = say("called again");
  assert.equal(fire(), "first called again last", "an object that cannot be called keeps the place");
  target.onopen = null;
  assert.equal(fire(), "first last");
  target.onopen = say("new");
  assert.equal(fire(), "first last new", "a handler that was removed starts at the end");
});

test("handlers read back what was set; what is no object counts as null", () => {
  const target = make();
  assert.equal(target.onopen, null);
  const kept = [() => {}, {}, [], make()];
  for (const handler of kept) {
    target.onopen = handler;
    assert.equal(target.onopen, handler);
    target.onopen = 1;
    assert.equal(target.onopen, null);
  }
  for (const primitive of [1, "x", true, Symbol(), 1n, undefined, null]) {
    target.onopen = primitive;
    assert.equal(target.onopen, null);
  }
  assert.equal(make().onopen, null, "each instance has its own");
});

test("a handler is called with the target as this", () => {
  const target = make();
  let self: unknown;
  target.onopen = function (this: unknown) {
    self = this;
  };
  target.dispatchEvent(new Event("open"));
  assert.equal(self, target);
});

test("handlers are accessors of the prototype that refuse foreign objects", () => {
  const descriptor = Object.getOwnPropertyDescriptor(ResilientWebSocket.prototype, "onopen");
  assert.ok(descriptor?.enumerable && descriptor.configurable);
  for (const foreign of [ResilientWebSocket.prototype, new EventTarget(), {}, undefined]) {
    assert.equal(
      thrown(() => descriptor.get?.call(foreign)),
      "TypeError",
    );
    assert.equal(
      thrown(() => descriptor.set?.call(foreign, null)),
      "TypeError",
    );
  }
});

test("the shape is that of an interface", () => {
  assert.deepEqual(Object.keys(ResilientWebSocket), ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]);
  for (const holder of [ResilientWebSocket, ResilientWebSocket.prototype]) {
    assert.deepEqual(Object.getOwnPropertyDescriptor(holder, "CLOSING"), {
      value: 2,
      writable: false,
      enumerable: true,
      configurable: false,
    });
  }
  assert.ok(Object.getOwnPropertyDescriptor(ResilientWebSocket.prototype, "close")?.enumerable);
  assert.equal(ResilientWebSocket.prototype.close.length, 0);
  assert.equal(`${make()}`, "[object WebSocket]");
  assert.equal(
    Object.getOwnPropertyDescriptor(ResilientWebSocket.prototype, "constructor")?.enumerable,
    false,
  );
});
