# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does instead.

# The full image has compilers, headers, git and ImageMagick, which no service runs. Every
# node pulls them, every scanner reports them, and an intruder can use them. Slim has them
# in a stage that is thrown away, if they are needed at all.
FROM python:3.13 AS run
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
# Recommended packages are installed, too, and the package lists stay in the layer.
RUN apt-get update \
 && apt-get install --yes git openssh-client
WORKDIR /app
# Everything is copied first: a change of any file, even of a comment, discards the cached
# layers that follow, and each build installs each dependency again. Slim copies only the
# lock before it installs.
COPY . .
# pip keeps its downloads in a cache that is now part of the image; the tools of the tests
# are in it, too; every container compiles the bytecode again, if the service can write it.
RUN sed -E -i \
      -e 's#(git\+https?://)[^/@]*\$[^/@]*@#\1#g' \
      requirements.txt
# Secrets that this RUN alone gets, from --build-secret: neither a layer nor a cached one
# has them. A newline at the end of a variable is cut.
RUN --mount=type=secret,id=GIT_TOKEN,env=GIT_TOKEN,required=true \
    --mount=type=secret,id=known_hosts,required=true \
    --mount=type=secret,id=ssh-privatekey,required=true \
    GIT_TOKEN="$(printf %s "$GIT_TOKEN" | tr -d '\r\n')" \
 && export GIT_CONFIG_COUNT=2 \
      GIT_CONFIG_KEY_0=credential.https://git.example.com.helper \
      GIT_CONFIG_VALUE_0='!f() { printf "%s\n" "username=oauth2" "password=${GIT_TOKEN}"; }; f' \
      GIT_CONFIG_KEY_1=credential.https://github.com.helper \
      GIT_CONFIG_VALUE_1='!f() { printf "%s\n" "username=${GIT_TOKEN}" "password="; }; f' \
 && trap 'rm -f /dev/shm/ssh-privatekey' EXIT \
 && (umask 077 && { tr -d '\r' < /run/secrets/ssh-privatekey; echo; } > /dev/shm/ssh-privatekey) \
 && export GIT_SSH_COMMAND="ssh -F none -i /dev/shm/ssh-privatekey -o IdentitiesOnly=yes -o BatchMode=yes \
      -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/run/secrets/known_hosts" \
 && pip install -r requirements.txt
EXPOSE 8000
# No USER: the service runs as root, which can change its code and tools, and has more of
# the kernel to attack.
#
# Shell form: a shell starts the server. A shell that stays process 1 does not pass SIGTERM
# on, so every stop waits for the grace period and then cuts requests off.
CMD uvicorn main:app --host 0.0.0.0 --port 8000 --timeout-graceful-shutdown 20

FROM run AS test
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN pip install pytest==9.2.0
CMD ["python", "-m", "pytest"]

FROM run
