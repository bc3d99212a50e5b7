// What a page, or whoever wrote the tag, says about which sockets are taken.

/** Settings of the page client. */
interface PageSettings {
  /** A mark is shown while a session has no connection. */
  readonly badge: boolean;

  /** Reports whether a socket to a host, with its port, and a path is taken. */
  takes(host: string, path: string): boolean;
}

/** The form of path patterns: `/ws` is that path, `/chat/` all below it, `*` all. */
function covers(pattern: string, path: string): boolean {
  return pattern === "*" || pattern === path || (pattern.endsWith("/") && path.startsWith(pattern));
}

function list(text: string | undefined): string[] {
  return (text ?? "").split(/[\s,]+/).filter(Boolean);
}

/**
 * Returns the settings: attributes of the script's tag, and over them `<meta name="wsresilience" content="…">` of
 * the page, `name=values` with semicolons between them. They are read for each socket, since the page goes on
 * behind the script.
 *
 * - `hosts`: of sockets that are taken besides those to the page's own host; `:8443` is that port of the latter.
 * - `paths`: of sockets that are taken; all.
 * - `except`: of sockets that are not.
 * - `badge`: `on` or `off`.
 */
export function pageSettings(script: HTMLElement | null): PageSettings {
  const given: Record<string, string | undefined> = { ...script?.dataset };
  const meta = document.querySelector<HTMLMetaElement>('meta[name="wsresilience"]');
  for (const part of (meta?.content ?? "").split(";")) {
    const [name, value = ""] = part.split("=");
    if (name?.trim()) {
      given[name.trim()] = value;
    }
  }
  const hosts = list(given["hosts"]).map((host) => (host[0] === ":" ? location.hostname + host : host));
  const paths = list(given["paths"]);
  const except = list(given["except"]);
  return {
    badge: given["badge"]?.trim() === "on",
    takes: (host, path) =>
      (host === location.host || hosts.includes(host)) &&
      (!paths.length || paths.some((p) => covers(p, path))) &&
      !except.some((p) => covers(p, path)),
  };
}
