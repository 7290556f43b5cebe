{{/* The name of everything that is ours: a release "streamjob" and one "streamjob-operator" both give streamjob-operator.
     A release's name has at most 53 characters, so this fits into 63. */}}
{{- define "operator.name" -}}
{{ trimSuffix "-operator" .Release.Name }}-operator
{{- end }}

{{/* What selects the operator's pods, and nothing else. */}}
{{- define "operator.selector" -}}
app.kubernetes.io/name: streamjob-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{/* What selects the runtime pods of every job. The operator sets these labels. */}}
{{- define "operator.runtimeSelector" -}}
app.kubernetes.io/name: streamjob-runtime
streamjob.dev/role: runtime
{{- end }}

{{- define "operator.labels" -}}
app.kubernetes.io/name: streamjob-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: streamjob
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image's full name, of {image, version}. */}}
{{- define "operator.image" -}}
{{- $tag := .image.tag | default .version -}}
{{ .image.repository }}{{ hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag }}
{{- end }}

{{/* All that the operator may do in a namespace that it watches. Secrets are not among it: pods mount them by name. */}}
{{- define "operator.rules" -}}
- apiGroups: [streamjob.dev]
  resources: [streamjobs]
  verbs: [list, watch, patch]
- apiGroups: [streamjob.dev]
  resources: [streamjobs/status]
  verbs: [update]
# To own pods with blockOwnerDeletion, where the API server asks for it.
- apiGroups: [streamjob.dev]
  resources: [streamjobs/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
{{- end }}

{{/* The `restricted` Pod Security level, and no more than it takes: these are no values, so that none can weaken them. */}}
{{- define "operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
