// Puts the page together.

import { AnswerError, takeToken } from "./ask.js";
import { detail, lookAt } from "./detail.js";
import { element, show } from "./element.js";
import { EndedList } from "./ended.js";
import { EventList } from "./events.js";
import { listen } from "./keys.js";
import { Route } from "./route.js";
import { SessionList } from "./sessions.js";
import { figures, SidecarView, states, status } from "./sidecar.js";
import { address } from "./words.js";

/** Milliseconds between two looks, and after a key in the filter. */
const LOOK_EVERY = 2000;
const TYPED = 250;

const find = (selector) => document.querySelector(selector);
const views = { sessions: new SessionList(), ended: new EndedList(), events: new EventList(showEvents), sidecar: new SidecarView() };

let route = Route.read();
let looking = new AbortController();
let timer = 0;

/** Looks at what the page shows, and again after a while, one look at a time. */
async function look() {
  clearTimeout(timer);
  looking.abort();
  const mine = new AbortController();
  looking = mine;
  const at = route;
  try {
    await Promise.all([showStatus(mine.signal), showView(at, mine.signal), showDetail(at, mine.signal)]);
    notice("");
  } catch (error) {
    if (mine.signal.aborted) {
      return;
    }
    if (error instanceof AnswerError) {
      notice(error.message);
      find("#token").hidden = error.status !== 403;
    } else {
      notice(`The sidecar does not answer: ${error.message}. What is shown is from before.`);
    }
  }
  if (looking === mine && !document.hidden) {
    timer = setTimeout(look, LOOK_EVERY);
  }
}

async function showStatus(signal) {
  const s = await status(signal);
  find("#token").hidden = true;
  find("#name").textContent = address(s.name);
  document.title = `${address(s.name)} · wsresilience console`;
  show(find("#states"), ...states(s));
  show(find("#figures"), ...figures(s));
}

async function showView(at, signal) {
  const view = views[at.view];
  const { count, content, more } = await view.look(at, signal);
  if (at !== route) {
    return;
  }
  find("#list-name").textContent = view.name;
  find("#count").textContent = count;
  find("#more").hidden = more !== true;
  show(find("#rows"), content);
}

/** Shows what has happened, without a look at the rest. */
function showEvents() {
  if (route.view === "events") {
    showView(route, looking.signal);
  }
}

async function showDetail(at, signal) {
  const section = find("#detail");
  if (at.id === "") {
    section.hidden = true;
    section.replaceChildren();
    return;
  }
  const d = await lookAt(at.id, signal);
  if (at !== route) {
    return;
  }
  show(section, ...detail(d, at.with({ id: "" }).toString()));
  section.hidden = false;
}

/** Goes where the address says. */
function go() {
  const before = route;
  route = Route.read();
  document.body.dataset.view = route.view;
  document.body.toggleAttribute("data-detail", route.id !== "");
  for (const link of document.querySelectorAll("nav a")) {
    link.href = new Route(link.dataset.view, "", shared(route.filter)).toString();
    if (link.dataset.view === route.view) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
  for (const label of document.querySelectorAll("#filter [data-for]")) {
    label.hidden = !label.dataset.for.split(" ").includes(route.view);
  }
  find("#filter").hidden = route.view === "sidecar";
  for (const field of find("#filter").elements) {
    if (field.type === "checkbox") {
      field.checked = route.filter[field.name] !== "0";
    } else if (field.name !== "" && field !== document.activeElement) {
      field.value = route.filter[field.name] ?? (field.name === "sort" ? "newest" : "");
    }
  }
  if (before.view !== route.view) {
    views.sessions.less();
    views.events.end();
  }
  if (route.id !== "" && route.id !== before.id) {
    find("#detail").replaceChildren(element("p", { class: "none" }, "…"));
    scrollTo({ top: 0 });
  }
  look();
}

/** What all views have in common of a filter. */
const shared = ({ path = "", client = "", id = "" }) => ({ path, client, id });

function filtered() {
  const filter = {};
  for (const field of find("#filter").elements) {
    if (field.name === "" || field.closest("[hidden]") !== null || !field.validity.valid) {
      continue;
    }
    filter[field.name] = field.type === "checkbox" ? (field.checked ? "" : "0") : field.value.trim();
  }
  if (filter.sort === "newest") {
    filter.sort = "";
  }
  views.sessions.less();
  history.replaceState(null, "", route.with({ filter }).toString());
  go();
}

/** Says what is wrong; "" is nothing. */
function notice(text) {
  const line = find("#notice");
  if (line.textContent !== text) {
    line.textContent = text;
    line.hidden = text === "";
  }
}

let typed = 0;
find("#filter").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(filtered, TYPED);
});
find("#filter").addEventListener("submit", (event) => {
  event.preventDefault();
  filtered();
});
find("#filter").addEventListener("reset", () => setTimeout(filtered));
find("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  takeToken(find("#token-value").value);
  find("#token-value").value = "";
  look();
});
find("#more").addEventListener("click", () => {
  views.sessions.more();
  look();
});
find("#rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-href]");
  if (row !== null && event.target.closest("a") === null && getSelection().isCollapsed) {
    location.hash = row.dataset.href;
  }
});
find("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  sessionStorage.setItem("theme", root.dataset.theme);
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
addEventListener("hashchange", go);
listen(find, () => route);
go();
