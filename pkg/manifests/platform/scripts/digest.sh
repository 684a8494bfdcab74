#!/bin/sh
# Writes the digest of the image that a build has pushed.
#
# The build's own container is not asked: what its Dockerfile runs can write whatever it
# likes there. git fetches the manifest, since no other program of this image speaks TLS.
#
# Reads:
#   REGISTRY       the registry's host
#   OWN_REGISTRY   the host of the registry in the cluster
#   IMAGE, TAG     the image's repository and its tag
#   LOGIN          a directory with the registry's config.json and ca.crt
#   WORK           a directory to make and write in
#   PUSHED         the file with the digest that the build engine has written; it counts only
#                  for an external registry, whose ways to authenticate git does not know
#   DIGEST_RESULT  where the digest goes, sha256:<hex>
#   URL_RESULT     where IMAGE:TAG@DIGEST goes
set -eu

fail() {
  echo "pyflow: $*" >&2
  exit 1
}

mkdir "$WORK"
if [ "$REGISTRY" = "$OWN_REGISTRY" ]; then
  password=$(sed -n "s|.*\"$REGISTRY\":{[^}]*\"auth\":\"\([^\"]*\)\".*|\1|p" "$LOGIN/config.json")
  repository=${IMAGE#"$REGISTRY"/}
  # In the environment, which no other process sees, and without any configuration.
  export HOME="$WORK" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_COUNT=4 \
    GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0="Authorization: Basic $password" \
    GIT_CONFIG_KEY_1=http.extraHeader GIT_CONFIG_VALUE_1="Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json" \
    GIT_CONFIG_KEY_2=http.sslCAInfo GIT_CONFIG_VALUE_2="$LOGIN/ca.crt" \
    GIT_CONFIG_KEY_3=http.followRedirects GIT_CONFIG_VALUE_3=false
  # The helper's own protocol, gitremote-helpers(7); its answer is an empty line.
  printf 'get https://%s/v2/%s/manifests/%s %s\n\n' "$REGISTRY" "$repository" "$TAG" "$WORK/manifest" |
    git remote-https origin "https://$REGISTRY/" >"$WORK/answer" 2>"$WORK/errors" ||
    fail "the registry does not have the image $IMAGE:$TAG: $(cat "$WORK/errors")"
  [ -s "$WORK/manifest" ] || fail "the registry does not have the image $IMAGE:$TAG: $(cat "$WORK/errors")"
  digest=sha256:$(sha256sum <"$WORK/manifest" | cut -d ' ' -f 1)
else
  # A link could lead to the login.
  if [ ! -f "$PUSHED" ] || [ -L "$PUSHED" ]; then fail "the build engine has written no digest"; fi
  digest=$(head -c 100 "$PUSHED" | head -n 1)
fi
printf %s "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}' || fail "the digest of $IMAGE:$TAG is not one"
printf %s "$digest" >"$DIGEST_RESULT"
printf %s "$IMAGE:$TAG@$digest" >"$URL_RESULT"
