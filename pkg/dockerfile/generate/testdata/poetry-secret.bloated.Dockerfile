# shop, as it is often done. It works; the comments say what it costs, and what the variant
# slim does instead.

# The full image has compilers, headers, git and ImageMagick, which no service runs. Every
# node pulls them, every scanner reports them, and an intruder can use them. Slim has them
# in a stage that is thrown away, if they are needed at all.
FROM python:3.13 AS run
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
WORKDIR /app
# Everything is copied first: a change of any file, even of a comment, discards the cached
# layers that follow, and each build installs each dependency again. Slim copies only the
# lock before it installs.
COPY . .
# pip keeps its downloads in a cache that is now part of the image; the tools of the tests
# are in it, too; every container compiles the bytecode again, if the service can write it.
#
# A tool that only the build needs, in the image for good.
RUN pip install poetry==2.5.1 poetry-plugin-export==1.10.1
RUN poetry export --quiet --without-urls --with dev \
      --format requirements.txt --output /tmp/resolved.txt
# The addresses of the project's indexes, with the logins that the RUN below gets. They go
# into variables: others see the arguments of a program.
COPY <<'EOF' indexes.py
import os, sys
from urllib.parse import quote

def secret(name):
    return quote(os.environ.get(name, ""), safe="")

def address(url, user, password):
    login = user + (password and ":" + password)
    return url.replace("://", "://" + (login and login + "@"), 1)

addresses = {
    "PIP_INDEX_URL": [address("https://pypi.example.com/simple", "robot", secret("POETRY_HTTP_BASIC_CORP_PASSWORD"))],
}
print(*addresses[sys.argv[1]])
EOF
# Secrets that this RUN alone gets, from --build-secret: neither a layer nor a cached one
# has them. A newline at the end of a variable is cut.
RUN --mount=type=secret,id=POETRY_HTTP_BASIC_CORP_PASSWORD,env=POETRY_HTTP_BASIC_CORP_PASSWORD,required=true \
    POETRY_HTTP_BASIC_CORP_PASSWORD="$(printf %s "$POETRY_HTTP_BASIC_CORP_PASSWORD" | tr -d '\r\n')" \
 && PIP_INDEX_URL="$(python indexes.py PIP_INDEX_URL)" && export PIP_INDEX_URL \
 && pip install -r /tmp/resolved.txt
EXPOSE 8000
# No USER: the service runs as root, which can change its code and tools, and has more of
# the kernel to attack.
#
# Shell form: a shell starts the server. A shell that stays process 1 does not pass SIGTERM
# on, so every stop waits for the grace period and then cuts requests off.
CMD uvicorn main:app --host 0.0.0.0 --port 8000 --timeout-graceful-shutdown 20

FROM run AS test
CMD ["python", "-m", "pytest"]

FROM run
