import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const module = fileURLToPath(new URL("../../../..", import.meta.url));

/** Characters of a child's output that are kept, for the message when it fails. */
const OUTPUT_MOST = 4_000;

/** What must not outlive this process, however it ends: its children, and its temporary folders. */
const children = new Set<ChildProcess>();
const folders = new Set<string>();

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

/** Makes a folder that goes when this process does. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "wsr-"));
  folders.add(folder);
  return folder;
}

const built = new Map<string, string>();

/** The file of a Go program, built once per process. The environment may name one that is ready. */
export function program(name: string, source: string): string {
  const ready = process.env[`WSR_${name.toUpperCase()}`] ?? built.get(name);
  if (ready !== undefined) return ready;
  const file = join(temporaryFolder(), name);
  execFileSync("go", ["build", "-o", file, source], { cwd: module, stdio: ["ignore", "ignore", "inherit"] });
  built.set(name, file);
  return file;
}

/** A running program. */
export class Child {
  readonly #process: ChildProcess;
  #output = "";

  constructor(file: string, args: readonly string[], environment: NodeJS.ProcessEnv) {
    this.#process = spawn(file, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    children.add(this.#process);
    this.#process.once("exit", () => children.delete(this.#process));
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_MOST);
      });
    }
  }

  /** The end of what it wrote. */
  get output(): string {
    return this.#output;
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Resolves when the process is gone. */
  async over(): Promise<void> {
    if (!this.ended) await once(this.#process, "exit");
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends a signal and returns when the process is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.ended) return;
    const gone = once(this.#process, "exit");
    this.#process.kill(signal);
    await gone;
  }
}
