# shop: built in one stage, run in another that has only what runs.

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
# A company's own index or proxy. Empty, pip keeps its default. Declared where pip runs
# only, so that the image does not carry them.
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
# A compiler and headers, for dependencies without a wheel. They stay in this stage.
RUN apt-get update \
      && apt-get install --yes --no-install-recommends git openssh-client \
      && rm -rf /var/lib/apt/lists/*
WORKDIR /tmp/dependencies
# Only the files that list the dependencies: a change of code leaves this stage, the slow
# one, cached.
COPY requirements.txt ./
# One RUN, because Kaniko takes a snapshot after each. The image's own pip fills the venv,
# which needs none itself. Bytecode is compiled here, because the running service cannot
# write it; unchecked-hash keeps it valid whatever a builder does to file times.
#
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
 && python -m venv --without-pip /opt/venv \
 && sed -E -i \
      -e 's#(git\+https?://)[^/@]*\$[^/@]*@#\1#g' \
      requirements.txt \
 && python -m pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check \
      -r requirements.txt \
 && (python -I -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib || true)

FROM python:${PYTHON_VERSION}-slim AS run
# Scripts of the venv, and the code, are found by name. Nothing is compiled again, and a
# line of the log is written when it is printed.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
# The code comes last: a change of it is two small layers. Its bytecode is compiled once as
# well, not by every replica that starts; -I keeps modules of the code out of that.
COPY main.py /app/
RUN (python -I -m compileall -q --invalidation-mode unchecked-hash /app || true)
WORKDIR /app
# A number, so that Kubernetes can tell that it is not root. All files belong to root: the
# service cannot change its own code.
USER 10001:10001
EXPOSE 8000
# Exec form: the server is process 1 and gets SIGTERM itself; behind a shell that does not
# pass it on, it is killed after Kubernetes' grace period, with its requests.
#
# One process: Kubernetes scales with replicas. X-Forwarded-* headers are not trusted by
# default: set FORWARDED_ALLOW_IPS in the Deployment if a proxy is in front.
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "20"]

# What the tests need in a venv of its own, which sees the one of the app: the layer of the
# tests is small. Only the target `test` takes this stage and the next.
FROM build AS test-build
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
# The tests run with the versions of the app: a tool of the tests does not change them.
RUN python -m venv --without-pip /opt/test \
 && echo "import site; site.addsitedir('$(echo /opt/venv/lib/python*/site-packages)')" \
      > "$(echo /opt/test/lib/python*/site-packages)/app.pth" \
 && python -m pip --python /opt/venv/bin/python freeze --exclude-editable > /tmp/constraints.txt \
 && python -m pip --python /opt/test/bin/python install \
      --no-cache-dir --no-compile --disable-pip-version-check \
      pytest==9.2.0 -c /tmp/constraints.txt \
 && (python -I -m compileall -q --invalidation-mode unchecked-hash /opt/test/lib || true)

# The image that is deployed, with the tests: the same user, the same settings.
FROM run AS test
COPY --from=test-build /opt/test /opt/test
COPY . /app/
# The user cannot write beside the code.
ENV PATH=/opt/test/bin:$PATH \
    PYTEST_ADDOPTS="-p no:cacheprovider" \
    COVERAGE_FILE=/tmp/.coverage
CMD ["python", "-m", "pytest"]

# The image that is deployed is `run`, as it was tested. It is last, so that a build without
# a target makes it and leaves the tests out.
FROM run
