#!/bin/sh
# Fetches one commit of a git repository and packs a folder of it as a build context.
#
# Reads:
#   URL, REVISION, FOLDER, DOCKERFILE  what the user asked for; all but URL may be empty
#   CREDENTIALS, CREDENTIALS_BOUND     a directory with what git authenticates with, and
#                                      "true" if there is one
#   SYSTEM_CA, BUILD_CA                CA certificates, PEM; BUILD_CA may be absent
#   HOME, CONTEXT                      directories to write in
#   COMMIT_RESULT, LAYER_RESULT, TAG_RESULT, SUM_RESULT  files for the results
# Writes $CONTEXT/context.tar.gz and the results: the commit, the SHA-256 of the archive,
# the tag to push it under, and the SHA-256 of the Dockerfile's lines; that is empty if the
# Dockerfile is a link or has more than 64 KiB.
# Prints the Dockerfile, each line after "pyflow.dev/dockerfile ", for those who check it and
# show the build. Errors and warnings start with "pyflow: ".
set -eu
umask 077

[ "$CREDENTIALS_BOUND" = true ] || CREDENTIALS=
export CREDENTIALS

fail() {
  echo "pyflow: $*" >&2
  exit 1
}

warn() {
  echo "pyflow: warning: $*" >&2
}

mkdir -p "$HOME"

# git trusts the CAs of one file only.
cat "$SYSTEM_CA" >"$HOME/ca.crt"
for file in "$BUILD_CA" "${CREDENTIALS:+$CREDENTIALS/ca.crt}"; do
  if [ -n "$file" ] && [ -s "$file" ]; then
    { echo; cat "$file"; } >>"$HOME/ca.crt"
  fi
done
export GIT_SSL_CAINFO="$HOME/ca.crt"

git init --quiet --bare "$HOME/repository"
cd "$HOME/repository"

case $URL in
  http://* | https://*)
    host=${URL#*://}
    host=${host%%/*}
    case $URL in
      # What is asked for encrypted is not fetched in clear, wherever the server redirects to.
      https://*) export GIT_ALLOW_PROTOCOL=https ;;
      *) [ -z "$CREDENTIALS" ] || fail "http sends credentials in clear: name $host by https or ssh, or fetch it without a Secret" ;;
    esac
    case $host in
      *@*) fail "the URL of the repository contains credentials, which everyone who can see the run can read: put them into a Secret" ;;
    esac
    if [ -n "$CREDENTIALS" ] && [ -e "$CREDENTIALS/password" ]; then
      # For this host only: a server may redirect git to another one. git reads the
      # credentials from a pipe, so they are in no argument and no variable.
      # shellcheck disable=SC2016 # git runs it, not this shell
      git config "credential.${URL%%://*}://$host.helper" '!f() {
        [ "$1" = get ] || return 0
        user=git
        [ ! -s "$CREDENTIALS/username" ] || user=$(cat "$CREDENTIALS/username")
        printf "username=%s\npassword=%s\n" "$user" "$(cat "$CREDENTIALS/password")"
      }; f'
    elif [ -n "$CREDENTIALS" ] && [ ! -e "$CREDENTIALS/ca.crt" ]; then
      fail "the Secret for git has no key password, which git needs for $host"
    fi
    ;;
  *)
    # ssh; GIT_ALLOW_PROTOCOL refuses all other protocols.
    [ -n "$CREDENTIALS" ] || fail "git reaches $URL by ssh: it needs a Secret with the keys ssh-privatekey and known_hosts"
    [ -s "$CREDENTIALS/ssh-privatekey" ] || fail "the Secret for git has no key ssh-privatekey, which git needs for $URL"
    [ -s "$CREDENTIALS/known_hosts" ] || fail "the Secret for git has no key known_hosts: without the server's key git cannot tell it from an impostor"
    # ssh wants a key that only its user can read, and a newline at its end.
    { cat "$CREDENTIALS/ssh-privatekey"; echo; } >"$HOME/key"
    export GIT_SSH_COMMAND="ssh -F /dev/null -i $HOME/key -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=30 -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$CREDENTIALS/known_hosts -o GlobalKnownHostsFile=/dev/null"
    ;;
esac

revision=${REVISION:-HEAD}
git check-ref-format --allow-onelevel "$revision" || fail "\"$revision\" cannot be the name of a revision"
echo "Fetching $revision of $URL"
if ! git fetch --quiet --depth=1 --no-tags --no-recurse-submodules -- "$URL" "$revision" 2>"$HOME/error"; then
  cat "$HOME/error" >&2
  case $(cat "$HOME/error") in
    *"Host key verification failed"*) fail "unknown host key: the key that the server of $URL shows is not the one in known_hosts" ;;
    *"SSL certificate"* | *"server verification failed"* | *"server certificate verification failed"* | *"certificate verify failed"*) fail "unknown certificate: no trusted CA signed the one of $URL; put the CA into the key ca.crt of the Secret for git" ;;
    *"ould not read Username"* | *"ould not read Password"*) fail "authentication failed: $URL is private, so git needs a Secret with credentials, or it does not exist" ;;
    *"Authentication failed"* | *"Permission denied"* | *"returned error: 40"[13]*) fail "authentication failed: $URL does not accept the credentials in the Secret for git" ;;
    *"couldn't find remote ref"* | *"not our ref"* | *"unadvertised object"* | *"bad object"*) fail "revision not found: $URL has no branch, tag or full commit \"$revision\"" ;;
    *"not found"* | *"ot appear to be a git repo"* | *"does not exist"*) fail "repository not found: $URL" ;;
    *"ould not resolve"* | *"ailed to connect"* | *"onnection refused"* | *"imed out"* | *"No route to host"* | *"ouldn't connect"*) fail "server not reached: $URL" ;;
    *) fail "git cannot fetch $revision of $URL" ;;
  esac
fi
commit=$(git rev-parse --verify --quiet "FETCH_HEAD^{commit}") || fail "revision not found: \"$revision\" of $URL is no commit"
printf %s "$commit" >"$COMMIT_RESULT"
echo "Fetched commit $commit"

# Without ./ and / around it.
# shellcheck disable=SC2153 # the variable of the step
folder=$FOLDER/
while [ "$folder" != "${folder#/}" ] || [ "$folder" != "${folder#./}" ]; do
  folder=${folder#/}
  folder=${folder#./}
done
while [ "$folder" != "${folder%/}" ]; do
  folder=${folder%/}
done
if ! tree=$(git rev-parse --verify --quiet "$commit:$folder") || [ "$(git cat-file -t "$tree")" != tree ]; then
  fail "path not found: commit $commit has no folder \"$folder\""
fi

file=$(git ls-tree "$tree" -- "$DOCKERFILE")
case $file in
  100* | 120000*) ;; # a file, or a link to one
  *) fail "no Dockerfile: commit $commit has no file \"$DOCKERFILE\" in its folder \"${folder:-.}\"" ;;
esac
if git cat-file -e "$commit:.gitmodules" 2>/dev/null; then
  warn "the repository has submodules, which are not fetched"
fi
if git grep --quiet "filter=lfs" "$tree" -- ".gitattributes" "*/.gitattributes"; then
  warn "the repository keeps files in Git LFS, which are not fetched"
fi
if git grep --quiet -E "tool[[:space:]\"']*\.[[:space:]\"']*kubectl-pyflow" "$tree" -- pyproject.toml; then
  warn "pyproject.toml has settings of kubectl pyflow, and a build from a repository does not read them: give them as flags, or build a checkout"
fi
if [ -n "$(git ls-tree "$tree" -- Procfile)" ]; then
  warn "a build from a repository does not read the Procfile: only the command of the image is deployed; to deploy other processes, build a checkout"
fi
: >"$SUM_RESULT"
case $file in
  100*)
    if [ "$(git cat-file -s "$tree:$DOCKERFILE")" -le 65536 ]; then
      git cat-file blob "$tree:$DOCKERFILE" | while IFS= read -r line || [ -n "$line" ]; do
        printf "%s\n" "$line"
      done >"$HOME/dockerfile"
      while IFS= read -r line; do
        printf "pyflow.dev/dockerfile %s\n" "$line"
      done <"$HOME/dockerfile"
      # Not every reader of a log keeps carriage returns.
      sum=$(tr -d '\r' <"$HOME/dockerfile" | sha256sum)
      printf %s "${sum%% *}" >"$SUM_RESULT"
    fi
    ;;
esac

# The archive depends on the files alone, as that of an uploaded folder does. So does the
# date of its files: web servers make an ETag of the date and the size of a file. It is an
# even second between February 1980 and February 1997. What .gitattributes says of archives
# does not count: the repository is built as it is.
echo "* -export-ignore -export-subst" >info/attributes
number=$(printf %.7s "$tree")
date=$((318211200 + 2 * 0x$number))
git -c tar.umask=0022 archive --format=tar.gz --mtime="@$date +0000" --output="$CONTEXT/context.tar.gz" "$tree"
sum=$(sha256sum "$CONTEXT/context.tar.gz")
sum=${sum%% *}
printf %s "$sum" >"$LAYER_RESULT"
printf "%s-%.32s" "$(date -u +%Y-%m-%d)" "$sum" >"$TAG_RESULT"
