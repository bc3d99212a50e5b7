// Where one is on the page, as its address says, so that a view can be shared:
// #sessions/ID?path=/chat is the list of sessions with a filter, and one of them.

export const VIEWS = ["sessions", "ended", "events", "sidecar"];

export class Route {
  constructor(view, id, filter) {
    this.view = view;
    this.id = id;
    this.filter = filter;
  }

  static read(hash = location.hash) {
    const [path, query = ""] = hash.slice(1).split("?", 2);
    const [view, id = ""] = path.split("/");
    const filter = Object.fromEntries(new URLSearchParams(query));
    return new Route(VIEWS.includes(view) ? view : "sessions", /^[0-9a-f]{32}$/.test(id) ? id : "", filter);
  }

  with(change) {
    return Object.assign(new Route(this.view, this.id, this.filter), change);
  }

  toString() {
    const query = new URLSearchParams(Object.entries(this.filter).filter(([, value]) => value !== "")).toString();
    return `#${this.view}${this.id === "" ? "" : `/${this.id}`}${query === "" ? "" : `?${query}`}`;
  }
}
