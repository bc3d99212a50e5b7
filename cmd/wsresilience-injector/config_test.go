package main

import (
	"strings"
	"testing"
)

const goodConfig = `
namespace: wsresilience
service: injector
webhook: injector
certificates: {secret: certificate}
secrets: {managed: true, natsURL: "nats://user:password@nats:4222"}
sidecar: {image: "wsresilience:1", nats: true}
`

func TestConfig(t *testing.T) {
	if c, err := parseConfig([]byte(goodConfig)); err != nil || c.Sidecar.Image != "wsresilience:1" || c.Sidecar.SecretName() != "wsresilience" {
		t.Fatalf("%+v, %v", c, err)
	}
	tests := []struct{ name, from, to, want string }{
		{"unknown key", "webhook:", "weebhook:", `unknown field "weebhook"`},
		{"unknown key below", "image:", "imaage:", `unknown field "sidecar.imaage"`},
		{"twice", "service: injector", "service: a\nservice: b", `"service"`},
		{"no namespace", "namespace: wsresilience", "", "namespace is"},
		{"bad service", "service: injector", "service: In_jector", `service is "In_jector"; allowed is`},
		{"no webhook", "webhook: injector", "", "webhook is"},
		{"both certificates", "{secret: certificate}", "{secret: a, dir: /b}", "certificates.secret is"},
		{"no certificate", "{secret: certificate}", "{}", "certificates.secret is"},
		{"no authority", "sidecar: {", "clientCA: abc\nsidecar: {", `clientCA is "abc"; allowed is PEM`},
		{"names without an authority", "sidecar: {", "clientNames: [a]\nsidecar: {", `clientNames is "a"`},
		{"no image", `image: "wsresilience:1", `, "", "sidecar.image is"},
		{"mode", "nats: true", "nats: true, mode: magic", `sidecar.mode is "magic"; allowed is named, redirect, explicit`},
		{"pull policy", "nats: true", "nats: true, imagePullPolicy: Sometimes", `sidecar.imagePullPolicy is "Sometimes"`},
		{"minor", "nats: true", "nats: true, cluster: {minor: -1}", "sidecar.cluster.minor is"},
		{"a variable", "nats: true", "nats: true, env: {WSR_SESION_TTL: 5m}", "sidecar.env.WSR_SESION_TTL: there is no such setting, did you mean WSR_SESSION_TTL?"},
		{"a variable that is the injector's", "nats: true", "nats: true, env: {WSR_UPSTREAM: 'http://x'}", "sidecar.env.WSR_UPSTREAM: the injector decides this"},
		{"a value", "nats: true", "nats: true, env: {WSR_SESSION_TTL: '5'}", "sidecar.env.WSR_SESSION_TTL: given is"},
		{"a request above the limit", "nats: true", "nats: true, resources: {requests: {memory: 1Gi}, limits: {memory: 512Mi}}", `sidecar.resources.requests.memory is "1Gi"; allowed is up to the limit, 512Mi`},
		{"a limit below nothing", "nats: true", "nats: true, resources: {limits: {cpu: -1}}", `sidecar.resources.limits.cpu is "-1"; allowed is a quantity above 0`},
		{"a resource that is none", "nats: true", "nats: true, resources: {limits: {memroy: 1Gi}}", "sidecar.resources.limits.memroy is"},
		{"too little memory", "nats: true", "nats: true, resources: {limits: {memory: 1Ki}}", "sidecar.resources.limits.memory, of which half is for windows: given is"},
		{"too often", `natsURL:`, `keyRotation: 1h, natsURL:`, `secrets.keyRotation is "1h0m0s"; allowed is 0, or from 72h0m0s`},
		{"sidecars with accounts", "nats: true", "nats: true, natsAccounts: true", `sidecar.natsAccounts is "true"; allowed is true with secrets.accounts`},
		{"accounts without a Secret", `"nats://user:password@nats:4222"`, "x, accounts: {storage: 1Gi, connections: 1}", `secrets.accounts.secret is ""`},
		{"accounts without managed Secrets", `true, natsURL: "nats://user:password@nats:4222"`, "false, accounts: {secret: a, storage: 1Gi, connections: 1}", "secrets.accounts is"},
		{"too small a quota", `"nats://user:password@nats:4222"`, "x, accounts: {secret: a, storage: 1Mi, connections: 1}", `secrets.accounts.storage is "1Mi"; allowed is a quantity from 64Mi`},
		{"no connections", `"nats://user:password@nats:4222"`, "x, accounts: {secret: a, storage: 1Gi}", `secrets.accounts.connections is "0"`},
		{"a quantity that is none", "nats: true", "nats: true, resources: {limits: {memory: much}}", "quantities must match"},
		{"secret", "nats: true", "nats: true, secret: a/b", `sidecar.secret is "a/b"`},
		{"data size", "nats: true", "nats: true, dataSize: '0'", `sidecar.dataSize is "0"`},
		{"both NATS", "managed: true", "managed: true, nats: x", "secrets.nats is"},
		{"no NATS", `, natsURL: "nats://user:password@nats:4222"`, "", "secrets.nats is"},
		{"no YAML", "namespace:", "\tnamespace:", "yaml"},
	}
	for _, test := range tests {
		text := strings.Replace(goodConfig, test.from, test.to, 1)
		if text == goodConfig {
			t.Fatalf("%s: %q is not there", test.name, test.from)
		}
		_, err := parseConfig([]byte(text))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "password") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte("{}"))
	f.Add([]byte("sidecar: {dataSize: 1Gi, resources: {limits: {cpu: 1}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := parseConfig(text); err == nil && (c.Namespace == "" || c.Sidecar.Image == "") {
			t.Errorf("%q is accepted", text)
		}
	})
}
