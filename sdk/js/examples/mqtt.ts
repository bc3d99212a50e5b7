import mqtt, { type MqttClient } from "mqtt";
import { ResilientWebSocket } from "wsresilience";

/**
 * An MQTT client that does not notice when the network goes. The sidecar's preset is `mqtt`
 * (WSR_APP_PROTOCOL).
 */
export function connect(url: string): MqttClient {
  return mqtt.connect(url, {
    createWebsocket: (address, protocols) => new ResilientWebSocket(address, protocols),
    forceNativeWebSocket: true, // in Node: the standard's interface, not that of the package ws
    keepalive: 300, // s: a client that hears nothing gives up after 1.5 times this
  });
}
