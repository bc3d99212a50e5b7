{{/* Names of objects. 40 characters leave room for what follows them. */}}
{{- define "wsresilience.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "wsresilience.injector" -}}
{{ include "wsresilience.fullname" . }}-injector
{{- end -}}

{{- define "wsresilience.certificate" -}}
{{ include "wsresilience.fullname" . }}-certificate
{{- end -}}

{{- define "wsresilience.nats" -}}
{{ include "wsresilience.fullname" . }}-nats
{{- end -}}

{{/* The Secret with nats-url; empty where there is no NATS. */}}
{{- define "wsresilience.natsSecret" -}}
{{- $n := .Values.nats -}}
{{- if and $n.bundled.enabled (or $n.url $n.existingSecret) -}}
{{- fail "nats.url, nats.existingSecret and nats.bundled.enabled: there can be one of them; with your own NATS, set nats.bundled.enabled=false" -}}
{{- end -}}
{{- if and $n.url $n.existingSecret -}}
{{- fail "nats.url and nats.existingSecret: there can be one of them" -}}
{{- end -}}
{{- if and (or $n.creds $n.ca) (not $n.existingSecret) .Values.secrets.managed -}}
{{- fail "nats.creds and nats.ca: they are in a Secret; name it in nats.existingSecret" -}}
{{- end -}}
{{- if $n.existingSecret -}}
{{ $n.existingSecret }}
{{- else if and $n.bundled.enabled $n.bundled.existingSecret -}}
{{ $n.bundled.existingSecret }}
{{- else if or $n.url $n.bundled.enabled -}}
{{ include "wsresilience.nats" . }}
{{- end -}}
{{- end -}}

{{/* The Secret with the operator's keys; empty where namespaces share a user of NATS. */}}
{{- define "wsresilience.operatorSecret" -}}
{{- $n := .Values.nats -}}
{{- if and $n.accounts.existingSecret (not .Values.secrets.managed) -}}
{{- fail "nats.accounts.existingSecret: accounts need secrets.managed, since their credentials go into the Secrets of the sidecars" -}}
{{- end -}}
{{- if and $n.accounts.existingSecret $n.accounts.enabled (not $n.bundled.enabled) (not (or $n.url $n.existingSecret)) -}}
{{- fail "nats.accounts.existingSecret: set nats.url, or nats.existingSecret with nats-url" -}}
{{- end -}}
{{- if and $n.accounts.enabled .Values.secrets.managed -}}
{{- if $n.accounts.existingSecret -}}
{{ $n.accounts.existingSecret }}
{{- else if $n.bundled.enabled -}}
{{ include "wsresilience.nats" . }}-operator
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that pods are selected by; called with (list . component). */}}
{{- define "wsresilience.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{/* Labels of everything; called with (list . component). */}}
{{- define "wsresilience.labels" -}}
{{- $root := first . -}}
{{ include "wsresilience.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with omit $root.Values.commonLabels "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods; called with (list . component podLabels). Those that pods are selected by stay. */}}
{{- define "wsresilience.podLabels" -}}
{{- $own := include "wsresilience.labels" (list (index . 0) (index . 1)) | fromYaml -}}
{{ toYaml (merge $own (index . 2)) }}
{{- end -}}

{{- define "wsresilience.image" -}}
{{- $i := .Values.image -}}
{{- if $i.digest -}}
{{ $i.repository }}@{{ $i.digest }}
{{- else -}}
{{ $i.repository }}:{{ $i.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
