#!/bin/sh
# Starts a RUN of a Dockerfile with the variables and the CA that setup got by
# --build-env and --build-ca.
#
# usage: run.sh [ARGUMENT OF TINI]... -- COMMAND...
# Reads /kaniko/build-env: a file per variable, and ca.crt. It becomes COMMAND.
# It runs in the image that is being built: it uses what every shell has, and its
# variables start with _pyflow_.

while [ "$1" != -- ]; do shift; done
shift

# What the image or the Dockerfile sets, stays. Programs spell the names of proxies in
# upper or in lower case, so both are set.
for _pyflow_file in /kaniko/build-env/*; do
  _pyflow_name=${_pyflow_file##*/}
  case $_pyflow_name in
    *[!A-Za-z0-9_]*) continue ;; # not a variable
    HTTP_PROXY) _pyflow_twin=http_proxy ;;
    HTTPS_PROXY) _pyflow_twin=https_proxy ;;
    FTP_PROXY) _pyflow_twin=ftp_proxy ;;
    ALL_PROXY) _pyflow_twin=all_proxy ;;
    NO_PROXY) _pyflow_twin=no_proxy ;;
    *) _pyflow_twin=$_pyflow_name ;;
  esac
  eval "[ -z \"\${$_pyflow_name+x}\${$_pyflow_twin+x}\" ]" || continue
  IFS= read -r _pyflow_value <"$_pyflow_file" || : # it ends without a newline
  export "$_pyflow_name=$_pyflow_value" "$_pyflow_twin=$_pyflow_value"
done

# Programs read one file, so it has to hold the CAs that the image trusts, or those that
# Kaniko does, and the company's. Kaniko leaves its own directory out of every image.
_pyflow_ca=/kaniko/build-env/ca.crt
if [ -r "$_pyflow_ca" ]; then
  for _pyflow_trusted in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt \
    /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem /kaniko/ssl/certs/ca-certificates.crt; do
    [ -r "$_pyflow_trusted" ] && break
  done
  _pyflow_bundle=/kaniko/trust-$$.crt
  (umask 022 && { cat "$_pyflow_trusted" && echo && cat "$_pyflow_ca"; } >"$_pyflow_bundle") ||
    _pyflow_bundle=$_pyflow_ca
  for _pyflow_name in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO AWS_CA_BUNDLE; do
    eval "_pyflow_value=\${$_pyflow_name:-}"
    # shellcheck disable=SC2154 # eval sets it
    case $_pyflow_value in
      "" | "$_pyflow_trusted") export "$_pyflow_name=$_pyflow_bundle" ;;
    esac
  done
  export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$_pyflow_ca}"
  if [ -z "${APT_CONFIG:-}" ] &&
    (umask 022 && echo "Acquire::https::CaInfo \"$_pyflow_bundle\";" >/kaniko/apt-$$.conf); then
    export APT_CONFIG=/kaniko/apt-$$.conf
  fi
fi
exec "$@"
