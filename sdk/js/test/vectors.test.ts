// The files under testdata/vectors bind every implementation (PROTOCOL §12); Go reads the same ones.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readShared } from "../src/devices-wire.ts";
import { parsePayload, payload } from "../src/heartbeat.ts";
import { encodeKey, isKey, nameOf, readOptions, readOutcome } from "../src/keys-wire.ts";
import { offer } from "../src/offer.ts";
import { distance, less, lessEq } from "../src/serial.ts";
import {
  BY_SIDECAR,
  type Control,
  decode,
  encodeAck,
  encodeBeat,
  encodeClose,
  escapeData,
  isMagic,
  SKIPPED,
  TYPE,
  WireError,
} from "../src/wire.ts";
import { encodeGoAway, encodeReset, encodeWelcome } from "./encode.ts";

interface Case {
  readonly name: string;
  readonly error?: true;
}

/** Names of types as the vectors write them. */
const NAMES: Readonly<Record<number, string>> = {
  [TYPE.welcome]: "WELCOME",
  [TYPE.ack]: "ACK",
  [TYPE.heartbeat]: "HEARTBEAT",
  [TYPE.heartbeatAck]: "HEARTBEAT_ACK",
  [TYPE.goAway]: "GOAWAY",
  [TYPE.close]: "CLOSE",
  [TYPE.reset]: "RESET",
};

function read<C extends Case>(file: string): C[] {
  const url = new URL(`../../../testdata/vectors/${file}`, import.meta.url);
  const cases = JSON.parse(readFileSync(url, "utf8")) as C[];
  assert.ok(Array.isArray(cases) && cases.length > 0, `${file} has no cases`);
  return cases;
}

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (b: Uint8Array) => Buffer.from(b).toString("hex");

function encode(c: Control): Uint8Array {
  switch (c.type) {
    case TYPE.escaped:
      return escapeData(c.data);
    case TYPE.welcome:
      return encodeWelcome(c);
    case TYPE.ack:
      return encodeAck(c.seq);
    case TYPE.heartbeat:
    case TYPE.heartbeatAck:
      return encodeBeat(c.type, c.payload, c.sent, c.ack);
    case TYPE.goAway:
      return encodeGoAway(c.reason, c.delayMillis);
    case TYPE.close:
      return encodeClose(c.code, c.reason);
    case TYPE.reset:
      return encodeReset(c.reason, c.status);
  }
}

/** Writes a control message as the vectors do. */
function fields(c: Control): Record<string, unknown> {
  const named: Record<string, unknown> = { ...c, type: NAMES[c.type] };
  if (named["status"] === 0 && c.type === TYPE.reset) {
    delete named["status"];
  }
  if (c.type === TYPE.welcome && c.reason > BY_SIDECAR) {
    Object.assign(named, { reason: c.reason - BY_SIDECAR, restored: true });
  }
  return "payload" in c ? { ...named, payload: hex(c.payload) } : named;
}

for (const c of read<Case & { bytes: string; fields?: object }>("control.json")) {
  test(`control: ${c.name}`, () => {
    const message = bytes(c.bytes);
    assert.ok(isMagic(message));
    if (c.name === "SKIPPED") {
      assert.equal(hex(SKIPPED), c.bytes);
    }
    // A client never gets these.
    if (c.error || /^(SKIPPED|RESTORE)/.test(c.name)) {
      assert.throws(() => decode(message), WireError);
      return;
    }
    const control = decode(message);
    assert.deepEqual(fields(control), c.fields);
    assert.equal(hex(encode(control)), c.bytes);
  });
}

for (const c of read<Case & { binary: boolean; data: string; wire: string }>("escape.json")) {
  test(`escape: ${c.name}`, () => {
    const wire = bytes(c.wire);
    if (c.error) {
      assert.throws(() => decode(wire), WireError);
      return;
    }
    const data = bytes(c.data);
    const travels = c.binary && isMagic(data) ? escapeData(data) : data;
    assert.equal(hex(travels), c.wire);
    if (c.binary && isMagic(wire)) {
      assert.deepEqual(decode(wire), { type: TYPE.escaped, data });
    }
  });
}

interface OfferCase extends Case {
  readonly protocols: string[];
  readonly fields?: {
    readonly app: string[];
    readonly resilient: boolean;
    readonly adopt: boolean;
    readonly reopen?: boolean;
    readonly resume: { token: string; received: number; next: number; attempt: number } | null;
  };
}

test("offer: what a client says of a session is an accepted vector", () => {
  // A client only builds offers: those of the vectors that it could have built must come out the same,
  // and none that a sidecar refuses. An order of its own, an entry of a later version, or a resume without the
  // number of the attempt, is not built.
  let built = 0;
  for (const { name, protocols, fields } of read<OfferCase>("offer.json")) {
    if (!fields?.resilient || fields.resume?.attempt === 0) {
      continue;
    }
    const { resume } = fields;
    const ours = offer(
      fields.app,
      fields.reopen ? "reopen" : fields.adopt,
      resume ? { ...resume, lastIn: resume.received, dial: resume.attempt } : undefined,
    );
    const known = protocols.filter((p) => p !== "wsr.v2");
    const want = known[0] === "wsr.v1" ? ["wsr", ...known] : known;
    assert.deepEqual(ours, want, name);
    built++;
  }
  assert.ok(built >= 6, `${built} offers`);
});

type KeyCase = Case & {
  readonly bytes?: string;
  readonly protocols?: string[];
  readonly fields?: {
    readonly type: string;
    readonly fate?: number;
    readonly key: string;
    readonly takesKeys?: boolean;
  };
};

/** By their numbers. */
const FATES = ["first", "repeated", "underway", "again", "doubt", "unkeyed", "forbidden"];

for (const { name, bytes: given, fields: want, error } of read<KeyCase>("keys.json")) {
  if (!given) {
    continue; // an offer: see keys.test.ts
  }
  test(`keys: ${name}`, () => {
    const message = bytes(given);
    assert.ok(isMagic(message));
    assert.throws(() => decode(message), WireError, "the core judges what is left to it");
    if (name.startsWith("WELCOME")) {
      const options = readOptions(message);
      assert.equal(options?.takesKeys, want?.takesKeys);
      if (want) {
        const { takesKeys: _, ...welcome } = want;
        assert.deepEqual(fields(decode(options!.bare)), welcome);
      }
    } else if (name.startsWith("KEY")) {
      const key = want ? bytes(want.key) : message.subarray(5);
      assert.equal(isKey(key), !error);
      assert.equal(hex(encodeKey(key)), given);
    } else {
      const outcome = want && { fate: FATES[want.fate!] ?? "doubt", name: nameOf(bytes(want.key)) };
      assert.deepEqual(readOutcome(message), outcome);
    }
  });
}

type ShareCase = Case & { readonly bytes?: string; readonly fields?: { readonly [name: string]: unknown } };

for (const { name, bytes: given, fields: want, error } of read<ShareCase>("share.json")) {
  if (!given) {
    continue; // an offer: see devices.test.ts
  }
  test(`share: ${name}`, () => {
    const message = bytes(given);
    assert.throws(() => decode(message), WireError, "the core judges what is left to it");
    if (name.startsWith("WELCOME")) {
      const { takesKeys, shared: _, ...welcome } = want!;
      const options = readOptions(message);
      assert.equal(options?.takesKeys, takesKeys);
      assert.deepEqual(fields(decode(options!.bare)), welcome);
      return;
    }
    const shared = readShared(message);
    if (error || !want) {
      assert.equal(shared, undefined);
      return;
    }
    switch (shared?.what) {
      case "members":
        assert.deepEqual(
          { type: "SHARED", share: 1, self: shared.self, readOnly: shared.readOnly, members: shared.all },
          want,
        );
        break;
      case "synchronised":
        assert.deepEqual(
          {
            type: "SHARED",
            share: 2,
            mode: shared.mode,
            messages: shared.messages,
            version: shared.version,
          },
          want,
        );
        break;
      case "conflict": {
        const present = shared.present === undefined ? "" : hex(toBytes(shared.present));
        const opcode = shared.present === undefined ? 0 : typeof shared.present === "string" ? 1 : 2;
        const key = hex(toBytes(shared.key));
        assert.deepEqual({ type: "SHARED", share: 3, seq: shared.seq, key, opcode, present }, want);
        break;
      }
      default:
        assert.deepEqual([shared?.what, want], ["nothing", { type: "SHARED" }]);
    }
  });
}

function toBytes(data: string | ArrayBuffer): Uint8Array<ArrayBuffer> {
  return typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
}

interface HeartbeatCase extends Case {
  readonly bytes: string;
  readonly fields?: { readonly seq: number; readonly tsMillis: string };
}

for (const c of read<HeartbeatCase>("heartbeat.json")) {
  test(`heartbeat: ${c.name}`, () => {
    const seq = parsePayload(bytes(c.bytes));
    if (c.error || !c.fields) {
      assert.equal(seq, Number.NaN);
      return;
    }
    assert.equal(seq, c.fields.seq);
    // Beyond 2^53 a number is the nearest one to what was sent, and nobody's clock shows it.
    const tsMillis = Number(BigInt(c.fields.tsMillis));
    if (Number.isSafeInteger(tsMillis)) {
      assert.equal(hex(payload(c.fields.seq, tsMillis)), c.bytes);
    }
  });
}

for (const c of read<Case & { a: number; b: number; less: boolean }>("serial.json")) {
  test(`serial: ${c.name}`, () => {
    assert.equal(less(c.a, c.b), c.less);
    assert.equal(lessEq(c.a, c.b), c.less || c.a === c.b);
    assert.equal(lessEq(c.b, c.a), !c.less);
    assert.equal(distance(c.a, c.b) < 2 ** 31, c.less || c.a === c.b);
  });
}
