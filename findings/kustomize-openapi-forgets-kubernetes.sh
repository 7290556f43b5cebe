#!/usr/bin/env bash
# Kustomize 5.7.1: a schema under `openapi`, which gives a resource's lists their keys, takes away those of Kubernetes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Seen with kustomize 5.5.0 (in kubectl 1.32) and 5.7.1 on 30 November 2026. Without a schema a patch of a custom
# resource replaces the whole of a list, and writes a null into it. With one it merges by the key, but then the patch of
# a Deployment's container replaces its whole list too: of two containers one is left, without a word.
GOBIN="$folder" GOFLAGS=-mod=mod go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
cd "$folder" && mkdir base with without
cat > base/all.yaml <<'YAML'
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec: {parts: [{name: a, old: {}}, {name: b}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: a, image: old}, {name: b, image: old}]}}}
YAML
echo 'resources: [all.yaml]' > base/kustomization.yaml
cat > without/thing.yaml <<'YAML'
apiVersion: example.com/v1
kind: Thing
metadata: {name: t}
spec: {parts: [{name: a, old: null, new: {}}]}
YAML
cat > without/deployment.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: a, image: new}]}}}
YAML
cat > without/kustomization.yaml <<'YAML'
resources: [../base]
patches: [{path: thing.yaml}, {path: deployment.yaml}]
YAML
cp without/*.yaml with/
echo 'openapi: {path: schema.json}' >> with/kustomization.yaml
cat > with/schema.json <<'JSON'
{"definitions": {"com.example.v1.Thing": {"type": "object",
 "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Thing", "version": "v1"}],
 "properties": {"spec": {"type": "object", "properties": {"parts": {"type": "array", "items": {"type": "object"},
  "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"}}}}}}}
JSON
for how in without with; do
  ./kustomize build $how > $how.txt
  echo "$how a schema: parts: $(sed -n '/^kind: Thing/,$p' $how.txt | grep -c 'name: [ab]$')," \
    "containers: $(sed -n '/^kind: Deployment/,/^---/p' $how.txt | grep -c 'name: [ab]$')"
done | tee seen.txt
diff seen.txt - <<'TEXT'
without a schema: parts: 1, containers: 2
with a schema: parts: 2, containers: 1
TEXT
