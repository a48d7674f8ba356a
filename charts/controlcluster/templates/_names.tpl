{{/* Labels of every object; called with (dict "root" $ "component" NAME). */}}
{{- define "controlcluster.labels" -}}
{{ include "controlcluster.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that select pods; they never change. */}}
{{- define "controlcluster.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Name of the operator's objects. */}}
{{- define "controlcluster.operator" -}}
{{ .Release.Name }}-operator
{{- end }}

{{/* An image; called with (dict "root" $ "image" VALUES). */}}
{{- define "controlcluster.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Resources as JSON for the operator, to whom a quantity is a text, also where it is written as a number. */}}
{{- define "controlcluster.resourcesAsText" -}}
{{- $resources := dict }}
{{- range $part, $quantities := . }}
{{- $texts := dict }}
{{- range $name, $quantity := $quantities }}
{{- $_ := set $texts $name (toJson $quantity | trimAll "\"") }}
{{- end }}
{{- $_ := set $resources $part $texts }}
{{- end }}
{{- toJson $resources }}
{{- end }}

{{/* The restricted Pod Security Standard, for a pod and for a container. */}}
{{- define "controlcluster.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}
{{- define "controlcluster.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
