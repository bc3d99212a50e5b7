// What restores a fresh app socket's context, as it leaves the page (PROTOCOL §8.6).
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Options, ResilientWebSocket } from "../src/index.ts";
import { BY_SIDECAR, encodeAck, SKIPPED } from "../src/wire.ts";
import { encodeReset, encodeWelcome } from "./encode.ts";
import { network } from "./network.ts";
import { until } from "./rig.ts";
import { words } from "./script/words.ts";

type Net = ReturnType<typeof network>;

/** What a connection was sent, but for acknowledgements. */
const sent = ({ sockets }: Net, n = sockets.length - 1): string[] =>
  sockets[n]!.sent.map((data) => (data === SKIPPED ? "SKIPPED" : words(data))).filter(
    (text) => !text.startsWith("ACK"),
  );

const adopted = (fields: object = {}) => encodeWelcome({ status: 2, reason: 3, ...fields });

/** Runs a test with a page whose first connection stands. Its next handshakes succeed, and WELCOME is the test's. */
async function page(
  adopt: Options["adopt"],
  body: (net: Net, socket: ResilientWebSocket) => Promise<void>,
  options: Options = {},
): Promise<void> {
  const net = network("wsr.v1", "silent");
  const { webSocket } = net;
  const socket = new ResilientWebSocket("ws://a.test/", [], { webSocket, adopt: adopt!, ...options });
  await until(() => socket.readyState === 1, "open");
  try {
    await body(net, socket);
  } finally {
    socket.close();
  }
}

/** Cuts the connection, and waits for the handshake of the next. */
async function again({ sockets }: Net): Promise<void> {
  const before = sockets.length;
  sockets.at(-1)!.breaks();
  await until(() => sockets.length > before && sockets.at(-1)!.readyState === 1, "another connection");
}

test("adopt: true says RESTORED at once, one for each WELCOME", () =>
  page(true, async (net, socket) => {
    socket.send("one");
    net.sockets[0]!.says(adopted());
    net.sockets[0]!.says(adopted());
    await sleep(0);
    assert.deepEqual(sent(net), ['text "one"', "RESTORED", "RESTORED"]);
  }));

test("reopen fires open again, and what its listeners send at once goes ahead", () =>
  page("reopen", async (net, socket) => {
    assert.equal(net.dials[0], "wsr wsr.v1 wsr.adopt wsr.reopen");
    let opens = 0;
    socket.onopen = () => socket.send(`login ${++opens}`);
    socket.send("one");
    net.sockets[0]!.says(adopted());
    await sleep(0);
    assert.deepEqual(sent(net), ['text "one"', 'RESTORE text "login 1"', "RESTORED", "SKIPPED"]);
    // An app socket that the sidecar restores hears nothing of the page.
    net.sockets[0]!.says(adopted({ reason: 3 + BY_SIDECAR, nextOutbound: 1 }));
    await sleep(0);
    assert.deepEqual(sent(net).slice(4), ["RESTORED"]);
    assert.equal(opens, 1);
    socket.send("two");
    assert.equal(sent(net).at(-1), 'text "two"');
  }));

test("what a function without a parameter for it sends until its promise settles goes ahead of what waits", async () => {
  let login: (() => void) | undefined;
  const ticket = () => new Promise<void>((resolve) => (login = resolve));
  let page1: ResilientWebSocket | undefined;
  const adopt = async () => {
    page1?.send("hello");
    await ticket();
    page1?.send("login");
  };
  await page(adopt, async (net, socket) => {
    page1 = socket;
    await again(net);
    socket.send("order 1");
    net.sockets[1]!.says(adopted());
    await until(() => login, "adopt is called");
    // What left with the handshake waits at the sidecar, and nothing else leaves before RESTORED.
    socket.send("order 2");
    assert.deepEqual(sent(net).slice(0, 2), ['text "order 1"', 'RESTORE text "hello"']);
    login!();
    await until(() => sent(net).includes("RESTORED"), "RESTORED");
    socket.send("order 3");
    assert.deepEqual(sent(net), [
      'text "order 1"',
      'RESTORE text "hello"',
      'RESTORE text "order 2"',
      'RESTORE text "login"',
      "RESTORED",
      "SKIPPED",
      "SKIPPED",
      "SKIPPED",
      'text "order 3"',
    ]);
    net.sockets[1]!.says(encodeAck(5));
    assert.equal(socket.unacknowledged, 0);
  });
});

test("a function with a parameter for it sends by that, and what the page sends meanwhile waits", async () => {
  let login: (() => void) | undefined;
  const adopt: Options["adopt"] = async (_event, send) => {
    await new Promise<void>((resolve) => (login = resolve));
    send("login");
    send(new Blob(["pass", "word"]));
    send(Uint8Array.of(0x21).buffer);
  };
  await page(adopt, async (net, socket) => {
    net.sockets[0]!.says(adopted());
    await until(() => login, "adopt is called");
    socket.send("order 1");
    const delivered = socket.deliver("order 2");
    login!();
    await until(() => sent(net).includes('text "order 2"'), "what waits");
    assert.deepEqual(sent(net).slice(0, 6), [
      'RESTORE text "login"',
      'RESTORE binary "password"',
      'RESTORE binary "!"',
      "RESTORED",
      'text "order 1"',
      'text "order 2"',
    ]);
    net.sockets[0]!.says(encodeAck(2));
    await delivered;
    assert.equal(socket.unacknowledged, 0, "nothing of a restore is counted");
  });
});

test("its parameter sends an ordinary message once its promise has settled", async () => {
  let later: ((data: string) => void) | undefined;
  await page(
    (_event, send) => void (later = send),
    async (net) => {
      net.sockets[0]!.says(adopted());
      await until(() => sent(net).includes("RESTORED"), "restored");
      later!("late");
      assert.deepEqual(sent(net), ["RESTORED", 'text "late"']);
    },
  );
});

test("a connection that breaks before RESTORED begins the restore anew, and loses nothing that others sent", async () => {
  const waiting: (() => void)[] = [];
  let page1: ResilientWebSocket | undefined;
  const adopt = async () => {
    page1?.send("login");
    await new Promise<void>((resolve) => waiting.push(resolve));
    page1?.send("subscribe");
  };
  await page(adopt, async (net, socket) => {
    page1 = socket;
    socket.send("order 1");
    net.sockets[0]!.says(adopted({ token: "t1b" }));
    await until(() => waiting.length === 1, "adopt is called");
    socket.send("order 2"); // no one can tell that it is none of adopt's
    assert.deepEqual(sent(net, 0), ['text "order 1"', 'RESTORE text "login"', 'RESTORE text "order 2"']);
    await again(net);
    assert.match(net.dials[1]!, /wsr\.resume\.t1b\.0\.0\.1$/, "no data before WELCOME");
    waiting[0]!(); // it still runs
    await sleep(0);
    net.sockets[1]!.says(adopted({ token: "t2" }));
    await until(() => waiting.length === 2, "adopt is called again");
    assert.deepEqual(sent(net), ['RESTORE text "login"']);
    waiting[1]!();
    await until(() => sent(net).includes("RESTORED"), "restored");
    await sleep(0);
    assert.deepEqual(sent(net), [
      'RESTORE text "login"',
      'RESTORE text "subscribe"',
      "RESTORED",
      'text "order 1"',
      "SKIPPED",
      'text "order 2"',
      "SKIPPED",
      "SKIPPED",
      "SKIPPED",
    ]);
  });
});

test("another adoption cancels the restore under way, and each is answered with one RESTORED", async () => {
  const runs: { event: string; send: (data: string) => void; settle: () => void }[] = [];
  const adopt: Options["adopt"] = (event, send) =>
    new Promise<void>((settle) => runs.push({ event: event.reason, send, settle }));
  await page(adopt, async (net, socket) => {
    net.sockets[0]!.says(adopted());
    await until(() => runs.length === 1, "adopt is called");
    runs[0]!.send("login 1");
    socket.send("order 1");
    net.sockets[0]!.says(adopted({ reason: 1 }));
    await until(() => runs.length === 2, "adopt is called again");
    runs[0]!.send("subscribe 1");
    runs[0]!.settle();
    await sleep(0);
    runs[1]!.send("login 2");
    runs[1]!.settle();
    await until(() => sent(net).includes('text "order 1"'), "what waits");
    assert.deepEqual(
      runs.map(({ event }) => event),
      ["app_restarted", "drained"],
    );
    assert.deepEqual(sent(net), [
      'RESTORE text "login 1"',
      "RESTORED",
      'RESTORE text "login 2"',
      "RESTORED",
      'text "order 1"',
    ]);
  });
});

test("adopt may wait for deliver, and for an answer of the app", async () => {
  let page1: ResilientWebSocket | undefined;
  const adopt = async () => {
    await page1?.deliver("login");
    await new Promise((resolve) => page1?.addEventListener("message", resolve, { once: true }));
  };
  await page(adopt, async (net, socket) => {
    page1 = socket;
    net.sockets[0]!.says(adopted());
    await until(() => sent(net).length > 0, "the login");
    await sleep(0);
    assert.deepEqual(sent(net), ['RESTORE text "login"']);
    net.sockets[0]!.says(new TextEncoder().encode("welcome"));
    await until(() => sent(net).includes("RESTORED"), "restored");
  });
});

test("a page that has closed restores the context all the same, since what it sent last waits", async () => {
  let page1: ResilientWebSocket | undefined;
  await page(
    () => page1?.send("login"),
    async (net, socket) => {
      page1 = socket;
      await again(net);
      socket.send("last words");
      socket.close(1000);
      net.sockets[1]!.says(adopted());
      await until(() => sent(net).some((text) => text.startsWith("CLOSE")), "CLOSE");
      assert.deepEqual(sent(net), [
        'text "last words"', // it left with the handshake, and waits at the sidecar
        'RESTORE text "login"',
        "RESTORED",
        "SKIPPED",
        "CLOSE 1000",
      ]);
    },
  );
});

test("what rejects ends the session with 1012, unless the restore was cut short", async () => {
  const fails: ((error: Error) => void)[] = [];
  const adopt = () => new Promise<void>((_, reject) => fails.push(reject));
  await page(adopt, async (net, socket) => {
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    net.sockets[0]!.says(adopted());
    await until(() => fails.length === 1, "adopt is called");
    socket.send("order 1");
    await again(net);
    fails[0]!(new Error("the ticket server is away"));
    await sleep(0);
    assert.equal(socket.readyState, 1);
    net.sockets[1]!.says(adopted());
    await until(() => fails.length === 2, "adopt is called again");
    fails[1]!(new Error("no credentials"));
    const { code, reason } = await closed;
    assert.deepEqual([code, reason], [1012, "adopt failed"]);
    assert.deepEqual(sent(net), ["CLOSE 1012 adopt failed"], "what waits is not for such an app");
  });
});

test("a new session after a reset is restored too, ahead of what waits for it", async () => {
  const reasons: string[] = [];
  const adopt: Options["adopt"] = async (event, send) => {
    reasons.push(event.reason);
    send("login");
    await sleep(10);
    send("subscribe");
  };
  await page(
    adopt,
    async (net, socket) => {
      socket.addEventListener("reset", () => socket.send("order 1"));
      await again(net);
      net.sockets[1]!.says(encodeReset(1));
      await until(() => net.sockets[2]?.readyState === 1, "a new session");
      net.sockets[2]!.says(encodeWelcome({ token: "t3" }));
      await until(() => sent(net).length > 0, "the login");
      socket.send("order 2");
      await until(() => sent(net).length > 3, "what waits");
      assert.deepEqual(sent(net), ['text "login"', 'text "subscribe"', 'text "order 1"', 'text "order 2"']);
      assert.deepEqual(reasons, ["renewed"]);
      net.sockets[2]!.says(encodeAck(4));
      assert.equal(socket.unacknowledged, 0);
    },
    { newSessionAfterReset: true },
  );
});

test("what a page restores with, and the path refuses, ends the session; nothing else is blamed", async () => {
  let calls = 0;
  const adopt = (_event: unknown, send: (data: string) => void) => {
    calls++;
    send("large login");
  };
  await page(adopt, async (net, socket) => {
    const ended = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    socket.addEventListener("rejected", () => assert.fail("a message is blamed"));
    await again(net);
    for (let n = 1; n <= 2; n++) {
      net.sockets[n]!.says(adopted());
      socket.send(`order ${n}`);
      await until(() => sent(net).includes('RESTORE text "large login"'), "RESTORE");
      net.sockets[n]!.breaks(1009);
      await until(() => net.sockets[n + 1]?.readyState === 1, "another connection");
    }
    net.sockets[3]!.says(adopted());
    const { code, reason } = await ended;
    assert.deepEqual([code, reason, calls], [1012, "adopt failed", 2]);
    assert.equal(sent(net).at(-1), "CLOSE 1012 adopt failed");
  });
});
