// Puts the page together.

import { Keys } from "./keys.js";
import { Lane } from "./lane.js";
import { showCode } from "./next.js";
import { Panel } from "./panel.js";
import { PlainClient } from "./plain.js";
import { ResilientClient } from "./resilient.js";
import { Story } from "./story.js";
import { Timeline } from "./timeline.js";
import { Typed } from "./typed.js";
import { beginVisit, socketURL, watch } from "./visit.js";

/** Milliseconds between two looks at what is to be sent, and at the numbers to be shown. */
const SEND_EVERY = 50;
const SHOW_EVERY = 100;

/** Milliseconds between two pictures of the timeline for those who want less motion. */
const STILL = 1000;

const find = (selector) => document.querySelector(selector);
const story = new Story(find("#story"));
const tell = (text, kind) => story.tell(text, kind);

console.info(
  "wsresilience demo: the network and the servers are broken on purpose here. A red line such as " +
    "“WebSocket connection failed” is one of the two sockets that tries to come back while nobody can, and " +
    "“409 (Conflict)” a button that was pressed while the last fault was not over. Nothing is wrong with the page.",
);

try {
  start(await beginVisit());
} catch (error) {
  notice(error.message);
}

function start(visit) {
  const lanes = [
    new Lane("plain", (name, on) => new PlainClient(socketURL(visit, name), on), visit, tell, typed("plain")),
    new Lane("resilient", (name, on) => new ResilientClient(socketURL(visit, name), on), visit, tell, typed("resilient")),
  ];
  const panels = [new Panel(find("#plain")), new Panel(find("#resilient"))];
  const timeline = new Timeline(find("#chart"), lanes);
  const keys = new Keys(visit, tell);
  let fault = "";
  let last; // the last fault
  showCode(find("#others"), find("#code"), visit.others);

  watch(
    visit,
    (picture) => {
      const now = performance.now();
      notice("");
      lanes.forEach((lane, i) => lane.learn(picture.clients[i], now));
      for (const note of picture.notes) {
        tell(note.text, note.kind);
        if (note.kind) {
          last = { kind: note.kind, at: now };
          find("#hint").hidden = true; // who has pressed a button knows how
          timeline.fault(now, note.kind, note.kind === picture.network.fault);
        }
      }
      if (fault !== "" && picture.network.fault === "") {
        timeline.mend(now);
      }
      fault = picture.network.fault;
      showServers(picture);
      keys.allow(picture);
    },
    (why) => notice(why),
  );
  setInterval(() => lanes.forEach((lane) => lane.produce(performance.now())), SEND_EVERY);
  setInterval(() => panels.forEach((panel, i) => panel.show(lanes[i], performance.now(), last)), SHOW_EVERY);
  animate(timeline);
  addEventListener("pagehide", () => lanes.forEach((lane) => lane.close()));
  addEventListener("pageshow", (event) => event.persisted && location.reload()); // the visit is over by then
}

function typed(lane) {
  return new Typed(find(`#${lane} .typed`));
}

function showServers(picture) {
  const { fault, left } = picture.network;
  find("#network").textContent = fault === "" ? "whole" : `${fault}, ${(left / 1000).toFixed(1)} s left`;
  find("#network").dataset.fault = fault;
  picture.pods.forEach((pod, i) => {
    const element = find("#pods").children[i];
    element.dataset.state = pod.state;
    element.textContent = `${pod.name} ${pod.state}`;
  });
}

function animate(timeline) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = () => {
    timeline.draw(performance.now());
    if (calm.matches) {
      setTimeout(draw, STILL);
    } else {
      requestAnimationFrame(draw);
    }
  };
  draw();
  dark.addEventListener("change", () => timeline.takeColours());
  find("#theme").onclick = () => {
    const root = document.documentElement;
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    sessionStorage.setItem("theme", root.dataset.theme);
    timeline.takeColours();
  };
  find("#stage").onclick = () => {
    const on = document.documentElement.toggleAttribute("data-stage");
    find("#stage").ariaPressed = String(on);
    // A browser that refuses still shows the large type.
    (on ? document.documentElement.requestFullscreen?.() : document.exitFullscreen?.())?.catch(() => {});
  };
}

/** Says what is wrong with the page itself; "" is nothing. */
function notice(text) {
  const element = find("#notice");
  if (element.textContent !== text) {
    element.textContent = text;
    element.hidden = text === "";
  }
}
