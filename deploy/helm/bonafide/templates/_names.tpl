{{- define "bonafide.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "bonafide.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bonafide.labels" -}}
{{ include "bonafide.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "bonafide.image" -}}
{{ .root.Values.image.registry }}/bonafide-{{ .program }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* What no container of ours needs; capabilities are said where one is needed. */}}
{{- define "bonafide.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* By the program's own command; the number is how often it may fail while it starts. */}}
{{- define "bonafide.probes" -}}
{{- $health := list "/nodejs/bin/node" "/opt/bonafide/main.js" "healthcheck" | toJson -}}
startupProbe: { exec: { command: {{ $health }} }, timeoutSeconds: 5, periodSeconds: 5, failureThreshold: {{ . }} }
readinessProbe: { exec: { command: {{ $health }} }, timeoutSeconds: 5, periodSeconds: 10, failureThreshold: 3 }
livenessProbe: { exec: { command: {{ $health }} }, timeoutSeconds: 5, periodSeconds: 30, failureThreshold: 5 }
{{- end }}
