{{/* nats.conf. Names with a dollar outside of quotes are environment variables. */}}
{{- define "wsresilience.natsConfig" -}}
{{- $n := .Values.nats.bundled -}}
{{- $operator := include "wsresilience.operatorSecret" . -}}
port: 4222
monitor_port: 8222
max_payload: 8MiB

jetstream {
  store_dir: /data
  # Four fifths of the volume. The journal reserves 4 GiB of it.
  max_file_store: {{ mul (trimSuffix "Gi" $n.persistence.size | int) 819 }}MiB
  max_memory_store: 64MiB
  # What was acknowledged is on the disk, also when all nodes lose their power at once.
  sync_interval: always
}

# Leaders move to other servers before this one stops.
lame_duck_grace_period: 5s
lame_duck_duration: 30s
{{- if $operator }}

# Who the operator is; the injector wrote it.
include "../nats-operator/operator.conf"

# Accounts of namespaces, which the injector announces and the servers tell each other.
resolver {
  type: full
  dir: /data/accounts
  allow_delete: true
  interval: "1m"
}
{{- else }}

authorization {
  users: [
    {
      user: wsresilience
      password: $NATS_PASSWORD
      permissions {
        publish: {
          allow: [
            "wsr.log.>"
            "$KV.WSR_LEASE.*"
            "$KV.WSR_IDEM.*"
            "$JS.API.INFO"
            "$JS.API.STREAM.INFO.*"
            "$JS.API.STREAM.CREATE.*"
            "$JS.API.STREAM.UPDATE.*"
            "$JS.API.DIRECT.GET.>"
            "$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>"
            "$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*"
            "$JS.FC.KV_WSR_LEASE.>"
          ]
        }
        subscribe: { allow: ["_INBOX.>"] }
      }
    }
  ]
}
{{- end }}
{{- if gt (int $n.replicas) 1 }}

cluster {
  name: {{ include "wsresilience.nats" . }}
  port: 6222
  authorization {
    user: route
    password: $NATS_ROUTE_PASSWORD
  }
  routes: [
    {{- range until (int $n.replicas) }}
    $NATS_ROUTE_{{ . }}
    {{- end }}
  ]
}
{{- end }}
{{- end -}}
