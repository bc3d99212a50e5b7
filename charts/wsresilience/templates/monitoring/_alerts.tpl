{{/* The alerts of a file, with what monitoring.prometheusRule.alerts says of them; called with (list . text).
     Without a word of them they are as they stand in the file. */}}
{{- define "wsresilience.alerts" -}}
{{- $own := (index . 0).Values.monitoring.prometheusRule.alerts -}}
{{- if not $own -}}
{{ index . 1 }}
{{- else -}}
{{- $rules := list -}}
{{- range $rule := fromYamlArray (index . 1) -}}
{{- $change := get $own $rule.alert | default dict -}}
{{- if hasKey $change "threshold" -}}
{{- /* The number at the end of the expression; of one that is put together of several there is no such number. */ -}}
{{- $last := "([<>]=?|==) *[0-9.]+( \\* [0-9]+)?\\s*$" -}}
{{- if or (not (regexMatch $last $rule.expr)) (regexMatch "\\b(or|and)\\b" $rule.expr) -}}
{{- fail (printf "monitoring.prometheusRule.alerts.%s.threshold: this alert has no threshold; allowed are enabled, for and severity" $rule.alert) -}}
{{- end -}}
{{- $_ := set $rule "expr" (regexReplaceAll $last $rule.expr (printf "${1} %v" $change.threshold)) -}}
{{- end -}}
{{- with $change.for -}}
{{- $_ := set $rule "for" . -}}
{{- end -}}
{{- with $change.severity -}}
{{- $_ := set $rule.labels "severity" . -}}
{{- end -}}
{{- if ne (toString (get $change "enabled")) "false" -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}
{{- end -}}

{{/* Fails for a name that is no alert's. */}}
{{- define "wsresilience.checkAlerts" -}}
{{- $names := list -}}
{{- range list "files/rules.yaml" "files/nats-rules.yaml" -}}
{{- range fromYamlArray ($.Files.Get .) -}}
{{- $names = append $names .alert -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.monitoring.prometheusRule.alerts -}}
{{- if not (has $name $names) -}}
{{- fail (printf "monitoring.prometheusRule.alerts.%s: there is no such alert, only %s" $name (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
