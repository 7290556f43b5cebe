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
  verbs: [get, list, watch, create, delete, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
{{- end }}

{{/* Who reaches runtime pods, as JSON: the operator, and who reads metrics. */}}
{{- define "operator.runtimesFrom" -}}
{{- $own := dict
      "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace))
      "podSelector" (dict "matchLabels" (include "operator.selector" . | fromYaml)) -}}
{{- prepend .Values.networkPolicy.metricsFrom $own | toJson -}}
{{- end }}

{{/* What lets the jobs of a namespace go that is being deleted. One name for all releases: the ClusterRole is one. */}}
{{- define "operator.drain" -}}
streamjob-drain
{{- end }}

{{- define "operator.drainRules" -}}
- apiGroups: [streamjob.dev]
  resources: [streamjobs]
  verbs: [list, watch, patch]
- apiGroups: [streamjob.dev]
  resources: [streamjobs/status]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  resourceNames: [{{ include "operator.drain" . }}]
  verbs: [patch]
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
