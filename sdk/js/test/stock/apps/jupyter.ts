// A notebook of Jupyter, whose one cell prints numbers.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../rig/process.ts";
import { numbersIn, run, type StockApp } from "../app.ts";

const CELL = ["import time\n", "for i in range(1000, 9000):\n", "    print(i)\n", "    time.sleep(0.05)\n"];

const NOTEBOOK = {
  cells: [{ cell_type: "code", execution_count: null, metadata: {}, outputs: [], source: CELL }],
  metadata: {
    kernelspec: { display_name: "Python 3", language: "python", name: "python3" },
    language_info: { name: "python" },
  },
  nbformat: 4,
  nbformat_minor: 4,
};

export const jupyter: StockApp = {
  name: "Jupyter Notebook",
  debian: ["jupyter-notebook", "python3-ipykernel"],
  noRollout: "the kernel is a child of the server",
  start: (port) => {
    const home = temporaryFolder();
    mkdirSync(join(home, "notebooks"));
    writeFileSync(join(home, "notebooks/numbers.ipynb"), JSON.stringify(NOTEBOOK));
    const args = ["--no-browser", "--allow-root", "--ip=127.0.0.1", `--port=${port}`, "--NotebookApp.token="];
    return run(
      "jupyter-notebook",
      [...args, "--NotebookApp.password=", `--notebook-dir=${home}/notebooks`],
      port,
      { HOME: home },
      "/api",
    );
  },
  visit: async (page, origin) => {
    await page.goto(`${origin}/notebooks/numbers.ipynb`);
    await page.waitForSelector("#kernel_indicator_icon.kernel_idle_icon", { timeout: 60_000 });
    await page.click(".code_cell .CodeMirror");
    await page.keyboard.press("Control+Enter");
  },
  seen: (page) => numbersIn(page, ".output_text pre"),
};
