#!/usr/bin/env bash
# What an image must do before it is used: deploy/check_image.sh [IMAGE]
# Needs Podman or Docker, no network, and no file of this machine. CONTAINER_TOOL names the program.
set -euo pipefail
image=${1:-monai-ceph}
tool=${CONTAINER_TOOL:-$(command -v podman || command -v docker)}
limit=1500000000
restricted=(--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --network none)

fail() { echo "$image: $*" >&2 && exit 1; }
about() { "$tool" image inspect --format "$1" "$image"; }

size=$(about '{{.Size}}')
[ "$size" -lt "$limit" ] || fail "$size bytes are not less than $limit"
[ "$(about '{{.Config.User}}')" = 10001 ] || fail "it does not run as user 10001"
for label in title description licenses; do
  [ -n "$(about "{{index .Config.Labels \"org.opencontainers.image.$label\"}}")" ] || fail "no label $label"
done
echo "$image: $((size / 1000000)) MB, user 10001, labels"

# shellcheck disable=SC2016
# a film on which it finds landmarks: a header, and a row for each of 19. Nothing is written but in /tmp
"$tool" run --rm "${restricted[@]}" --entrypoint sh "$image" -euc '
  test "$(id -u)" = 10001
  grep -q "^[^ ]* / [^ ]* ro[, ]" /proc/mounts
  { monai-ceph phantom /tmp/films --count 1 && monai-ceph detect /tmp/films --out /tmp/results --formats all; } >/tmp/log 2>&1 ||
    { cat /tmp/log >&2; exit 1; }
  test "$(wc -l </tmp/results/landmarks.csv)" = 20' || fail "it does not detect with a root that is read-only"
echo "$image: detects as user 10001, with a root that is read-only and no capabilities"

# a node, until its health check passes
folder=$(mktemp -d)
node=monai-ceph-check-$$
trap '"$tool" rm --force --volumes "$node" >/dev/null 2>&1 || true; rm -r "$folder"' EXIT
cat >"$folder/node.yaml" <<'END'
ae_title: CEPH
host: 127.0.0.1
port: 11112
folder: /var/lib/monai-ceph
accept: {calling_ae_titles: [ANY]}
targets: {dicom: [{name: none, ae_title: NONE, host: 127.0.0.1, port: 104}]}
http: {host: 127.0.0.1, port: 8080}
END
chmod -R a+rX "$folder"
"$tool" run --detach --name "$node" "${restricted[@]}" --volume "$folder/node.yaml:/etc/monai-ceph/node.yaml:ro" "$image" >/dev/null
healthy() {
  case $tool in
    *podman) "$tool" healthcheck run "$node" >/dev/null 2>&1 ;;
    *) [ "$("$tool" inspect --format '{{.State.Health.Status}}' "$node")" = healthy ] ;;
  esac
}
for _ in $(seq 60); do
  healthy && break
  [ "$("$tool" inspect --format '{{.State.Running}}' "$node")" = true ] || break
  sleep 2
done
healthy || { "$tool" logs "$node" >&2; fail "its health check does not pass"; }
"$tool" stop --time 60 "$node" >/dev/null
[ "$("$tool" inspect --format '{{.State.ExitCode}}' "$node")" = 0 ] || fail "the node does not stop when it is told to"
echo "$image: a node starts, is healthy and stops"
