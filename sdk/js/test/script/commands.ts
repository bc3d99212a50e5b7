import { close } from "../../src/closing.ts";
import { payload } from "../../src/heartbeat.ts";
import { receive } from "../../src/incoming.ts";
import { answeredBare } from "../../src/machine.ts";
import { isOwn } from "../../src/offer.ts";
import { attach, attachPlain, broken, wake } from "../../src/redial.ts";
import type { Data } from "../../src/store.ts";
import { CODE, encodeAck, encodeBeat, encodeClose, escapeData, TYPE } from "../../src/wire.ts";
import { encodeGoAway, encodeReset, encodeWelcome } from "../encode.ts";
import type { Dialled, Stage } from "./stage.ts";

const MAGIC = Buffer.from("ff575352", "hex");
const STATUSES = ["new", "resumed", "adopted"];
const REASONS = ["", "drained", "owner_lost", "app_restarted", "owed"];

/** Plays one command. */
export function play(stage: Stage, [command = "", ...words]: string[]): void {
  const first = words[0] ?? "";
  switch (command) {
    case "client": {
      const protocols = named(words, "protocols");
      stage.protocols = protocols ? protocols.split(",") : [];
      stage.adopt = stage.machine.settings.adopt = words.includes("adopt");
      break;
    }
    case "wait":
      stage.wait(millis(first));
      return;
    case "stall":
      stage.stall(millis(first));
      return;
    case "send":
    case "deliver": {
      const [message, times] = data(first, words.slice(1));
      for (let i = 0; i < times; i++) {
        stage.send(message, command === "deliver" ? { resolve() {}, reject() {} } : undefined);
      }
      break;
    }
    case "wakes":
      wake(stage.machine, stage.now);
      break;
    case "close":
      close(stage.machine, stage.now, Number(first), words.slice(1).join(" "));
      break;
    default: {
      const dialled = stage.connections.find(({ name }) => name === command);
      if (!dialled) {
        throw new Error(`no connection ${command}`);
      }
      if (dialled.connection.opened) {
        sidecar(stage, dialled, first, words.slice(1));
      } else {
        handshake(stage, dialled, words);
      }
    }
  }
  stage.perform();
}

/** Answers a dial. */
function handshake(stage: Stage, dialled: Dialled, [what, protocol]: string[]): void {
  const { machine, now } = stage;
  const { connection } = dialled;
  if (what === "refused") {
    broken(machine, now, connection, CODE.abnormal, "", false);
  } else if (!protocol) {
    attach(machine, now, connection);
  } else if (connection.offered) {
    answeredBare(machine, now, connection, CODE.normal);
  } else {
    attachPlain(machine, now, connection, isOwn(protocol) ? "" : protocol);
  }
  if (connection.endCode) {
    stage.end(dialled);
  }
}

/** Lets the other end of a dialled do something. */
function sidecar(stage: Stage, dialled: Dialled, what: string, words: string[]): void {
  const { machine, now } = stage;
  const { connection } = dialled;
  switch (what) {
    case "breaks":
      stage.forget(dialled);
      broken(machine, now, connection, CODE.abnormal, "", false);
      return;
    case "closes":
      stage.forget(dialled);
      broken(machine, now, connection, Number(words[0]), words.slice(1).join(" "), true);
      return;
    case "text":
    case "binary":
    case "magic": {
      const [message, times] = data(what, words);
      for (let i = 0; i < times; i++) {
        receive(machine, now, connection, message);
        stage.dispatch();
      }
      return;
    }
    default:
      receive(machine, now, connection, control(dialled, what, words));
      stage.dispatch();
  }
}

function control({ name }: Dialled, what: string, words: string[]): Uint8Array<ArrayBuffer> {
  const number = (name: string, otherwise = 0) => Number(named(words, name) ?? otherwise);
  switch (what) {
    case "WELCOME":
      return encodeWelcome({
        status: STATUSES.findIndex((status) => words.includes(status)),
        reason: Math.max(
          0,
          REASONS.findIndex((reason) => words.includes(reason)),
        ),
        epoch: number("epoch", 1),
        inboundAck: number("ack"),
        nextOutbound: number("next", 1),
        heartbeatMillis: number("heartbeat", 5000),
        ttlMillis: number("ttl", 300_000),
        window: number("window", 1 << 20),
        retryFirstMillis: number("first"),
        retryMostMillis: number("most"),
        token: named(words, "token") ?? `t${name.slice(1)}`,
        subprotocol: named(words, "app") ?? "",
      });
    case "ACK":
      return encodeAck(Number(words[0]));
    case "HEARTBEAT":
    case "HEARTBEAT_ACK": {
      const beat = payload(number("seq", 1), 1);
      beat[0]! ^= words.includes("damaged") ? 1 : 0;
      const type = what === "HEARTBEAT" ? TYPE.heartbeat : TYPE.heartbeatAck;
      return encodeBeat(type, beat, number("sent"), number("ack"));
    }
    case "GOAWAY":
      return encodeGoAway(words[1] ? 3 : 1, Number(words[0]));
    case "CLOSE":
      return encodeClose(Number(words[0]), words.slice(1).join(" "));
    case "RESET":
      return encodeReset(Number(words[0]), Number(words[1] ?? 0));
    case "ESCAPED":
      return escapeData(magic(words.join(" ")));
    case "raw":
      return new Uint8Array(Buffer.from(words[0] ?? "", "hex"));
    default:
      throw new Error(`unknown command ${what}`);
  }
}

/** Builds a message of a kind from words or size=N, and tells how many times it is meant. */
function data(kind: string, words: string[]): [message: Data, times: number] {
  const size = named(words, "size");
  const text = size ? "x".repeat(Number(size)) : words.filter((word) => !word.startsWith("times=")).join(" ");
  const times = Number(named(words, "times") ?? 1);
  switch (kind) {
    case "text":
      return [text, times];
    case "magic":
      return [magic(text), times];
    default:
      return [new Uint8Array(Buffer.from(text)), times];
  }
}

function magic(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([MAGIC, Buffer.from(text)]));
}

/** Returns the value of a word of the form name=value. */
function named(words: string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Reads a duration as Go writes it: one number and its unit. */
function millis(text: string): number {
  const [, number, unit = ""] = /^(\d+)(ms|s|m)$/.exec(text) ?? [];
  return Number(number) * ({ ms: 1, s: 1000, m: 60_000 }[unit] ?? Number.NaN);
}
