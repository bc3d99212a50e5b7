{{/* The file of "wsresilience-injector webhook". */}}
{{- define "wsresilience.config" -}}
{{- $natsSecret := include "wsresilience.natsSecret" . -}}
{{- $operator := include "wsresilience.operatorSecret" . -}}
{{- $env := .Values.sidecar.env -}}
{{- if and .Values.nats.bundled.enabled (eq (int .Values.nats.bundled.replicas) 1) -}}
{{- $env = merge (dict) $env (dict "WSR_NATS_REPLICAS" "1") -}}
{{- end -}}
namespace: {{ .Release.Namespace }}
service: {{ include "wsresilience.injector" . }}
webhook: {{ include "wsresilience.injector" . }}
certificates:
  {{- if .Values.injector.certManager.enabled }}
  dir: /etc/wsresilience/certificates
  {{- else }}
  secret: {{ include "wsresilience.certificate" . }}
  {{- end }}
{{- if .Values.webhook.clientCA }}
clientCA: {{ .Values.webhook.clientCA | toJson }}
{{- with .Values.webhook.clientNames }}
clientNames: {{ toJson . }}
{{- end }}
{{- else if .Values.webhook.clientNames }}
{{- fail "webhook.clientNames: they are those of certificates of webhook.clientCA; set it" }}
{{- end }}
secrets:
  managed: {{ .Values.secrets.managed }}
  {{- if .Values.secrets.managed }}
  keyRotation: {{ .Values.secrets.keyRotation }}
  {{- end }}
  {{- if and $operator .Values.nats.bundled.enabled }}
  natsURL: nats://{{ include "wsresilience.nats" . }}.{{ .Release.Namespace }}.svc:4222
  {{- else if and .Values.secrets.managed $natsSecret }}
  nats: {{ $natsSecret }}
  {{- end }}
  {{- if $operator }}
  accounts:
    secret: {{ $operator }}
    make: {{ not .Values.nats.accounts.existingSecret }}
    storage: {{ .Values.nats.accounts.storage }}
    connections: {{ int .Values.nats.accounts.connections }}
  {{- end }}
sidecar:
  image: {{ include "wsresilience.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- with .Values.sidecar.pullSecrets }}
  pullSecrets: {{ toJson . }}
  {{- end }}
  mode: {{ .Values.sidecar.mode }}
  {{- with $env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  platformUser: {{ .Values.platformUser }}
  tenantAnnotations: {{ toJson .Values.policy.tenantAnnotations }}
  {{- with .Values.sidecar.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  peerTLS: {{ .Values.sidecar.peerTLS }}
  secret: {{ .Values.sidecar.secretName }}
  nats: {{ ne $natsSecret "" }}
  natsCreds: {{ .Values.nats.creds }}
  natsAccounts: {{ ne $operator "" }}
  natsCA: {{ .Values.nats.ca }}
  dataSize: {{ .Values.sidecar.dataSize }}
{{- end -}}
