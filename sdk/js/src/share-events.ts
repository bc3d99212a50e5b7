/** What is told of an event to other tabs. What was not acknowledged stays with those whose messages it is. */
export function fieldsOf(event: Event): Record<string, unknown> {
  if (event.type === "close") {
    const { code, reason, wasClean } = event as CloseEvent;
    return { code, reason, wasClean };
  }
  const { isTrusted: _, unacknowledged: __, ...fields } = event as Event & { unacknowledged?: unknown };
  return fields;
}
