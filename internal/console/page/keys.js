// Keys: to the filter, through the rows, from view to view, and back.

import { VIEWS } from "./route.js";

export function listen(find, route) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const { target } = event;
    if (event.key === "Escape") {
      if (target.matches("input, select")) {
        target.blur();
      } else if (route().id !== "") {
        location.hash = route().with({ id: "" }).toString();
      }
      return;
    }
    if (target.matches("input, select, textarea")) {
      return;
    }
    const view = VIEWS[Number(event.key) - 1];
    if (view !== undefined) {
      find(`nav a[data-view="${view}"]`).click();
    } else if (event.key === "/" && !find("#filter").hidden) {
      find("#filter input").focus();
    } else if (event.key === "j" || event.key === "k") {
      step(find, event.key === "j" ? 1 : -1);
    } else {
      return;
    }
    event.preventDefault();
  });
}

/** Moves the focus a row up or down. */
function step(find, by) {
  const links = [...find("#rows").querySelectorAll("tbody a")];
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? links.findIndex((a) => a.closest("tr[aria-current]") !== null) + (by > 0 ? 1 : -1) : at + by;
  links[Math.min(Math.max(next, 0), links.length - 1)]?.focus();
}
