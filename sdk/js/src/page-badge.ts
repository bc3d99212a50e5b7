// The mark that a page shows while a session has no connection.

/** Shows whether any of the page's sockets has no connection. */
export interface Badge {
  show(socket: object, away: boolean): void;
}

/** Milliseconds without a connection that nobody needs to hear of. */
const PATIENCE = 1_000;

/**
 * Makes the mark, which is in the page while it says something. It takes its colours from the system, so that it
 * fits either theme and high contrast, and its style by script, which a Content-Security-Policy does not forbid.
 */
export function createBadge(): Badge {
  const away = new Set<object>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let host: HTMLElement | undefined;

  const draw = () => {
    timer = undefined;
    if (!host) {
      host = document.createElement("div");
      host.setAttribute("role", "status");
      Object.assign(host.style, {
        position: "fixed",
        insetInlineEnd: "1rem",
        insetBlockEnd: "1rem",
        zIndex: "2147483647",
        padding: "0.5rem 0.875rem",
        border: "1px solid",
        borderRadius: "0.5rem",
        font: "0.875rem/1.4 system-ui, sans-serif",
        colorScheme: "light dark",
        color: "CanvasText",
        background: "Canvas",
        pointerEvents: "none",
      });
    }
    if (!host.isConnected) {
      document.body?.append(host);
    }
    // A screen reader hears what changes in a place that it knows.
    requestAnimationFrame(() => {
      if (host && away.size) {
        host.textContent = "Reconnecting. Nothing is lost.";
      }
    });
  };

  return {
    show(socket, isAway) {
      away[isAway ? "add" : "delete"](socket);
      if (away.size) {
        timer ??= setTimeout(draw, PATIENCE);
        return;
      }
      clearTimeout(timer);
      timer = undefined;
      if (host) {
        host.textContent = "";
        host.remove();
      }
    },
  };
}
