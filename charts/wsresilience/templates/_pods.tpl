{{/* What all pods of this chart have in common. */}}

{{- define "wsresilience.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where pods may run; called with (list . component settings). */}}
{{- define "wsresilience.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $pods := index . 2 -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    # Zones may be fewer than replicas, or not be labelled.
    whenUnsatisfiable: {{ eq . "kubernetes.io/hostname" | ternary $pods.whenUnsatisfiable "ScheduleAnyway" }}
    labelSelector:
      matchLabels:
        {{- include "wsresilience.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- with $pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
