import { type Client, createClient } from "graphql-ws";
import { ResilientWebSocket } from "wsresilience";

/**
 * A GraphQL client whose subscriptions go on where they were. The sidecar's preset `graphql-transport-ws`
 * (WSR_APP_PROTOCOL) subscribes again by itself when the app restarts.
 */
export function connect(url: string): Client {
  return createClient({ url, webSocketImpl: ResilientWebSocket });
}
