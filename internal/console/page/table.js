// A table whose first column leads somewhere. On a phone each row is a card.

import { element } from "./element.js";

/**
 * Columns have a name, a function that makes of an item what a cell shows, and a
 * class. A row whose `href` is given leads there.
 */
export function table(caption, columns, items, href, current) {
  const head = element("tr", {}, ...columns.map((c) => element("th", { scope: "col", class: c.class }, c.name)));
  const rows = items.map((item) => {
    const to = href?.(item);
    const cells = columns.map((c, i) => {
      const value = c.of(item);
      const shown = i === 0 && to !== undefined ? element("a", { href: to }, value) : value;
      return element("td", { class: c.class, "data-name": c.name }, shown);
    });
    return element("tr", { "data-href": to, "aria-current": to !== undefined && to === current ? "true" : undefined }, ...cells);
  });
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
}
