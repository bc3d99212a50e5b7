// Elements. What comes from a sidecar is text and nothing else, wherever it goes.

/** Makes an element with attributes, and with children: elements, or text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) {
      made.setAttribute(key, "");
    } else if (value !== false && value !== undefined && value !== null) {
      made.setAttribute(key, String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A state with a dot in the colour of how well that is. */
export const dot = (text, mood) => element("span", { class: "dot", "data-mood": mood }, text);

/** A list of names and values; values may be elements. What has no value is left out. */
export function facts(...pairs) {
  const list = element("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value !== undefined && value !== null && value !== "") {
      list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    }
  }
  return list;
}

/**
 * Puts children in place of what was there, if that would change anything. Whoever
 * selects text in it is left alone, and the focus stays on the link that has it.
 */
export function show(parent, ...children) {
  const fresh = element("div", {}, ...children);
  const selection = getSelection();
  const selects = !selection.isCollapsed && parent.contains(selection.anchorNode);
  if (selects || fresh.innerHTML === parent.innerHTML) {
    return;
  }
  const focused = parent.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  parent.replaceChildren(...fresh.childNodes);
  if (focused !== null) {
    parent.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}
