// The compose files of the examples, judged without Docker: what each service needs is there.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EXAMPLES, imageCommand, readCompose } from "./compose.ts";

const PODS = [1, 2];

const names = readdirSync(EXAMPLES).filter((name) => existsSync(join(EXAMPLES, name, "compose.yaml")));

test("there are examples", () => assert.ok(names.length >= 3, names.join()));

for (const name of names) {
  test(`the compose file of ${name} fits together`, () => {
    const folder = join(EXAMPLES, name);
    const { services, configs, volumes } = readCompose(join(folder, "compose.yaml"));
    for (const i of PODS) {
      const app = services[`app-${i}`];
      assert.equal(app?.network_mode, `service:sidecar-${i}`, "an app is in the network of its sidecar");
      assert.equal(app.restart, "always", "what the button ends starts again");
      const sidecar = services[`sidecar-${i}`]!;
      assert.equal(sidecar.environment?.["WSR_NATS_URL"], "nats://nats:4222");
      assert.equal(Buffer.from(sidecar.environment?.["WSR_TOKEN_KEYS"] ?? "", "base64").length, 32);
    }
    for (const [
      service,
      { build, image, depends_on = [], configs: mounted = [], volumes: kept = [] },
    ] of Object.entries(services)) {
      assert.ok(build || /^[\w./-]+:[\w.-]+$/.test(image ?? ""), `${service} has an image of a version`);
      for (const other of depends_on) assert.ok(services[other], `${service} waits for ${other}`);
      for (const { source } of mounted) assert.ok(configs[source], `${service} has the config ${source}`);
      for (const volume of kept)
        assert.ok(volume.split(":")[0]! in volumes, `${service} has the volume ${volume}`);
      if (service.startsWith("app-")) {
        const dockerfile = readFileSync(join(folder, "Dockerfile"), "utf8");
        assert.match(dockerfile, /^FROM \S+:\S+$/m);
        const [program, file] = imageCommand(folder);
        assert.ok(program && existsSync(join(folder, file!)), `${service} runs ${program} ${file}`);
      }
    }
    assert.deepEqual(
      Object.entries(services).flatMap(([service, { ports }]) => (ports ? [`${service} ${ports}`] : [])),
      ["front 8080:80"],
      "one port is published",
    );
    const front = configs["front"]!.content;
    for (const i of PODS) assert.match(front, new RegExp(`server sidecar-${i}:15801`));
    const page = readFileSync(join(folder, "page.html"), "utf8");
    assert.doesNotMatch(page, /wsr\b|ResilientWebSocket/, "the page knows nothing of us");
  });
}
