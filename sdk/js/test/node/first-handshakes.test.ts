// Every failure of a first handshake, with and without a sidecar.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "../rig/client.ts";
import { failures, patience, Spoiler } from "../rig/spoiler.ts";
import { type AppOptions, type Rig, startRig, until } from "../rig.ts";

/** Echoes and, as most servers, selects no subprotocol. */
const MUTE: AppOptions = {
  protocols: () => false,
  onMessage: (socket, data) => socket.send(data),
};

const rigs = new Map<boolean, Rig>();
before(async () => {
  for (const sidecar of [true, false]) rigs.set(sidecar, await startRig({ app: MUTE, sidecar }));
});
after(() => Promise.all([...rigs.values()].map((rig) => rig.close())));

/** More often than one socket tries, of which several are made then. */
const ALWAYS = 6;

/** The failure that makes a connection once our entries are left out. */
const BARE = "101 without our entry";

async function echoes(client: Client): Promise<void> {
  client.socket.send("hello");
  await client.has(1);
  assert.deepEqual(client.received, ["hello"]);
}

for (const failure of failures) {
  for (const times of [1, 2, ALWAYS]) {
    for (const sidecar of [true, false]) {
      test(`${failure}, ${times} times, ${sidecar ? "a sidecar" : "no sidecar"}`, async () => {
        const rig = rigs.get(sidecar)!;
        const spoiler = new Spoiler(rig.proxy.port, failure, times);
        await spoiler.start();
        const made: Client[] = [];
        try {
          let opened: Client | null = null;
          while (!opened || spoiler.left > 0) {
            const client = new Client(rig, patience(failure, spoiler), [], spoiler.url);
            made.push(client);
            await until(() => client.socket.readyState === 1 || client.closed, "open or closed");
            if (client.socket.readyState !== 1) continue;
            opened = client;
            if (spoiler.left > 0) assert.equal(failure, BARE, "no connection by a handshake that failed");
          }
          // Who answers so also without our entries is an ordinary server.
          if (failure === BARE && times === ALWAYS) assert.equal(made[0]!.socket.resilient, false);
          // However often it failed, one that is open has found out what is there.
          assert.equal(opened.socket.resilient, sidecar);
          await echoes(opened);
          // What one socket concluded, a later one does not.
          const next = new Client(rig, {}, [], spoiler.url);
          made.push(next);
          await until(() => next.socket.readyState === 1, "the next is open");
          assert.equal(next.socket.resilient, sidecar);
          await echoes(next);
        } finally {
          for (const client of made) client.socket.close();
          const ended = Promise.all(made.map((client) => client.ended()));
          if (failure !== BARE || times < ALWAYS) await ended; // that one's connections answer no close
          await spoiler.close();
          await ended;
        }
      });
    }
  }
}
