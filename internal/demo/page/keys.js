// The buttons, and their keys.

import { press, setAuto } from "./visit.js";

export class Keys {
  #visit;
  #tell;
  #buttons = [...document.querySelectorAll("[data-button]")];
  #auto = document.querySelector("#auto");
  #refused = { network: false, pods: false };

  /** `tell(text)` adds to the story. */
  constructor(visit, tell) {
    this.#visit = visit;
    this.#tell = tell;
    for (const button of this.#buttons) {
      button.onclick = () => this.#press(button);
    }
    this.#auto.onclick = () => this.#toggle();
    document.addEventListener("keydown", (event) => this.#typed(event));
  }

  /** Shows what can be pressed now. A button that cannot keeps the focus that it has. */
  allow(picture) {
    this.#refused.network = picture.network.fault !== "";
    this.#refused.pods = picture.busy || picture.pods.some((pod) => pod.state !== "up");
    for (const button of this.#buttons) {
      button.ariaDisabled = String(this.#refused[button.dataset.group]);
    }
    this.#auto.ariaPressed = String(picture.auto);
  }

  #typed(event) {
    if (event.target instanceof HTMLInputElement) {
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) {
      return;
    }
    const key = event.key.toLowerCase();
    document.querySelector(`button[aria-keyshortcuts="${CSS.escape(key)}"]`)?.click();
  }

  async #press(button) {
    if (this.#refused[button.dataset.group]) {
      this.#tell("not now: the last fault is not over");
      return;
    }
    const why = await press(this.#visit, button.dataset.button);
    if (why) {
      this.#tell(why);
    }
  }

  async #toggle() {
    const why = await setAuto(this.#visit, this.#auto.ariaPressed !== "true");
    if (why) {
      this.#tell(why);
    }
  }
}
