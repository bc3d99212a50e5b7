{{/* Series recorded from files/slo.yaml: what share went wrong over each time that
     an alert or the dashboard asks for, and what share may. */}}
{{- define "wsresilience.objectives" -}}
{{- $own := .Values.monitoring.objectives -}}
{{- $all := .Files.Get "files/slo.yaml" | fromYamlArray -}}
{{- $names := list -}}
{{- range $all }}{{ $names = append $names .name }}{{ end -}}
{{- range $name, $_ := $own -}}
{{- if not (has $name $names) -}}
{{- fail (printf "monitoring.objectives.%s: there is no such objective, only %s" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
- name: wsresilience-objectives
  rules:
    {{- range $all }}
    {{- $slo := . }}
    {{- $objective := get $own .name | default .objective }}
    - record: wsr:objective:budget
      expr: vector({{ printf "%.6f" (subf 1 (divf $objective 100)) }})
      labels:
        objective: {{ .name }}
    {{- range list "5m" "30m" "1h" "6h" "1d" "3d" }}
    - record: wsr:objective:wrong_{{ . }}
      expr: |-
        {{- $slo.wrong | replace "$window" . | nindent 8 }}
      labels:
        objective: {{ $slo.name }}
    {{- end }}
    {{- end }}
{{- end -}}
